"""Samplers that go by what tokens stand for, against transformers and lists of texts."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import make_plan
from torch import Tensor
from transformers.generation import logits_process as hf

from tp_core.errors import ConfigError, TpError
from tp_core.generation.sampler_chain import SamplerChain
from tp_core.interfaces import SamplerStep, Vocabulary

PIECES = (*"abc -", "ab", "ba", "aab", " a", "é", "aé", "1", "12", "\n")
VOCABULARY = Vocabulary(
    (*[b""] * 4, *(piece.encode() for piece in PIECES), b"\xc3", b"\xa9", b"\xcf", b"\x80"),
    *(0, 1, 2, 3),
)
V, END = len(VOCABULARY.pieces), 2
IDS = {piece: token for token, piece in enumerate(VOCABULARY.pieces)}


def built(folder: Path, name: str, **options: Any) -> Any:
    plan = make_plan(folder, {"sampling.samplers": [{"name": name, **options}]})
    return SamplerChain(plan, V, VOCABULARY).samplers[0]


def step_of(drawn: list[int], prompt: tuple[int, ...] = (1, 5, 6)) -> SamplerStep:
    history = torch.tensor([[*prompt, *drawn, 0]])
    begin = torch.tensor([len(prompt)])
    return SamplerStep(history, begin + len(drawn), {}, prompt_lengths=begin)


def kept(sampler: Any, drawn: list[int], logits: Tensor | None = None) -> set[int]:
    logits = torch.zeros(1, V) if logits is None else logits
    output = sampler(logits, step_of(drawn))
    assert torch.equal(output[output.isfinite()], logits[output.isfinite()])
    return set(output[0].isfinite().nonzero()[:, 0].tolist())


def only(*ids: int) -> Tensor:
    logits = torch.full((1, V), -torch.inf)
    logits[:, list(ids)] = 0.5
    return logits


@pytest.mark.parametrize("n", [0, 1, 3, 99])
def test_min_new_tokens_against_transformers(n: int, tmp_path: Path) -> None:
    sampler = built(tmp_path, "min_new_tokens", n=n)
    theirs = hf.MinNewTokensLengthLogitsProcessor(3, n, END, device="cpu")
    logits = torch.randn(1, V, generator=torch.Generator().manual_seed(0))
    for count in range(6):
        step = step_of([7] * count)
        expected = theirs(step.history[:, : 3 + count], logits.clone())
        assert torch.equal(sampler(logits, step), expected)


def test_min_new_tokens_leaves_an_end_that_stands_alone(tmp_path: Path) -> None:
    sampler = built(tmp_path, "min_new_tokens", n=3)
    assert kept(sampler, [], only(END)) == {END}
    assert kept(sampler, [], only(END, 7)) == {7}


# Each with the letters of its texts, none of them longer than 6 letters.
PATTERNS = {
    "": "a",
    "a": "ab",
    "(ab|ba)?c": "abc",
    "a{2,3}b?": "ab",
    "(a?b){1,3}": "ab",
    "[^a]b| a": "abc 1-",
    "1{2}|12?[ -]a": "12a -",
    "(aé|π)+": "aéπ",
    "(?i)AB": "abAB",
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_allowed_text_against_all_texts(pattern: str, tmp_path: Path) -> None:
    """Of every text of up to two tokens: what may come next, by the list of texts that match."""
    letters = sorted(set(PATTERNS[pattern]))
    texts = ["".join(t) for n in range(7) for t in itertools.product(letters, repeat=n)]
    matching = [text.encode() for text in texts if re.fullmatch(pattern, text)]
    within = [
        t for t in range(V) if all(c in "".join(letters).encode() for c in VOCABULARY.pieces[t])
    ]
    sampler = built(tmp_path, "allowed_text", pattern=pattern)
    for drawn in itertools.chain.from_iterable(
        itertools.product(within, repeat=n) for n in range(3)
    ):
        so_far = b"".join(VOCABULARY.pieces[token] for token in drawn)
        if pattern == "(aé|π)+" and len(so_far) > 6:
            continue  # its texts are listed only so far
        expected = {
            token
            for token in within
            if (piece := VOCABULARY.pieces[token])
            and any(text.startswith(so_far + piece) for text in matching)
        }
        if so_far in matching:
            expected.add(END)
        assert kept(sampler, list(drawn)) & {*within, END} == (expected or {END}), so_far


def test_allowed_text_reaches_unnamed_characters_by_their_own_piece_alone(tmp_path: Path) -> None:
    sampler = built(tmp_path, "allowed_text", pattern=r"\w*")
    assert IDS["é".encode()] in kept(sampler, [])
    assert IDS[b"\xc3"] not in kept(sampler, [])
    named = built(tmp_path, "allowed_text", pattern=r"[éπ]*")
    assert kept(named, [IDS[b"\xc3"]]) == {IDS[b"\xa9"]}
    assert kept(named, [IDS[b"\xa9"]]) == {END}  # not UTF-8: nothing can come of it


def test_allowed_text_where_nothing_is_allowed(tmp_path: Path) -> None:
    sampler = built(tmp_path, "allowed_text", pattern="ab")
    a, b, c = (IDS[letter.encode()] for letter in "abc")
    assert kept(sampler, [a]) == {b}
    assert kept(sampler, [c]) == {END}
    assert kept(sampler, [a], only(a, c, END)) == {END}
    assert kept(sampler, [a], only(a, c)) == {a, c}


def test_rows_have_their_own_texts(tmp_path: Path) -> None:
    sampler = built(tmp_path, "allowed_text", pattern="(a|b1)+c")
    a, b = IDS[b"a"], IDS[b"b"]
    history = torch.tensor([[1, a, b, 0], [1, b, 0, 0], [1, 0, 0, 0]])
    step = SamplerStep(history, torch.tensor([3, 2, 1]), {}, prompt_lengths=torch.tensor([2, 2, 1]))
    output = sampler(torch.zeros(3, V), step)
    for row, drawn in enumerate([[b], [], []]):
        assert set(output[row].isfinite().nonzero()[:, 0].tolist()) == kept(sampler, drawn)


def test_a_pattern_is_checked_with_the_config(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"allowed_text.*'\(a' is not a valid regular expression: missing"
    ):
        built(tmp_path, "allowed_text", pattern="(a")


@pytest.mark.parametrize(
    "written", [{"name": "min_new_tokens"}, {"name": "allowed_text", "pattern": "a"}]
)
def test_without_a_vocabulary_there_is_no_such_sampler(
    written: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(TpError, match=f"'{written['name']}' can't be built: ValueError: it must"):
        SamplerChain(make_plan(tmp_path, {"sampling.samplers": [written]}), V)
