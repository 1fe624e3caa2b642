"""The tokenizer: exact round trips, chosen alphabets, refusals."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from tp_core.data import tokenizer as module
from tp_core.data.tokenizer import MODEL_TYPES, Tokenizer
from tp_core.errors import TpError

PHRASES = (Path(__file__).parents[2] / "phrases.txt").read_text(encoding="utf-8").split("\n")[:-1]
# Not U+2581, and no lone surrogates: both are refused.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581"))
AWKWARD = [
    "  two in front",
    "three behind   ",
    "in  the   middle",
    "\ttabs\t\teverywhere\t",
    "emoji 😀👩‍👩‍👧 and 漢字かな",
    "<s>",
    "a</s>b<unk><pad><0x41>",
    "nul \0 and \x01\x1f\x7f controls",
    "\r carriage \r return",
    "\x0b\x0c\x85\u2028\u2029",
    "\ufeff\ufffd\u200b\xa0\u3000e\u0301",
    "blocks \u2580\u2582\u2585",
    " ⁇ ",
    "\U0010ffff\uffff\ud7ff",
]


@pytest.fixture(scope="module", params=MODEL_TYPES)
def trained(request: pytest.FixtureRequest) -> Tokenizer:
    return train(PHRASES, model_type=request.param)


def train(
    lines: Sequence[str], *, model_type: str = "bpe", vocab_size: int = 512, seed: int = 0
) -> Tokenizer:
    return Tokenizer.train(lines, model_type=model_type, vocab_size=vocab_size, seed=seed)


def assert_round_trips(tokenizer: Tokenizer, lines: Sequence[str]) -> None:
    for line, ids in zip(lines, tokenizer.encode_many(lines), strict=True):
        assert tokenizer.decode(ids) == line
        assert ids == tokenizer.encode(line)
        assert all(3 < token < tokenizer.vocab_size for token in ids)


def test_the_phrases_round_trip(trained: Tokenizer) -> None:
    assert_round_trips(trained, PHRASES[:500])


@pytest.mark.parametrize("line", AWKWARD)
def test_awkward_lines_round_trip(trained: Tokenizer, line: str) -> None:
    assert_round_trips(trained, [line])


@settings(deadline=None)
@given(line=TEXT)
def test_any_text_round_trips(trained: Tokenizer, line: str) -> None:
    assert_round_trips(trained, [line])


def test_every_code_point_round_trips(trained: Tokenizer) -> None:
    # Many to a line; all of the lower ones, where scripts and controls are, and some of the rest.
    points = [*range(0x3000), *range(0x3000, 0x110000, 7)]
    text = [chr(point) for point in points if not 0xD800 <= point < 0xE000 and point != 0x2581]
    lines = [f"a{' b'.join(text[start : start + 64])}" for start in range(0, len(text), 64)]
    assert [trained.decode(ids) for ids in trained.encode_many(lines)] == lines


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_awkward_lines_can_be_trained_on(model_type: str) -> None:
    assert_round_trips(train(AWKWARD, model_type=model_type), AWKWARD)
    for line in AWKWARD:
        if line.strip("\t\0"):
            assert_round_trips(train([line], model_type=model_type), [line])


def test_ids_of_specials(trained: Tokenizer) -> None:
    assert (trained.pad_id, trained.bos_id, trained.eos_id) == (0, 1, 2)
    assert trained.vocab_size <= 512
    assert trained.piece_bytes[:4] == (b"", b"", b"", b"")
    assert set(trained.piece_bytes[4:260]) == {bytes([value]) for value in range(256)}


def test_the_vocabulary_is_used(trained: Tokenizer) -> None:
    characters = sum(map(len, PHRASES))
    tokens = sum(map(len, trained.encode_many(PHRASES)))
    longest = max(map(len, trained.piece_bytes))
    if longest == 1:  # the char model
        assert tokens == characters
    else:
        assert trained.vocab_size == 512
        assert tokens < 0.6 * characters


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_training_is_the_same_in_another_process(model_type: str) -> None:
    code = (
        "import hashlib, sys; from tp_core.data.tokenizer import Tokenizer\n"
        "lines = open(sys.argv[1], encoding='utf-8').read().split('\\n')[:400]\n"
        f"t = Tokenizer.train(lines, model_type={model_type!r}, vocab_size=400, seed=3)\n"
        "print(hashlib.sha256(t.model_bytes).hexdigest())"
    )
    path = Path(__file__).parents[2] / "phrases.txt"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        cwd=path.parent,
        check=True,
    )
    here = train(PHRASES[:400], model_type=model_type, vocab_size=400, seed=3)
    assert done.stdout.strip() == hashlib.sha256(here.model_bytes).hexdigest()
    assert done.stderr == ""


@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("first", [0x4E00, 0x1F300])
def test_more_characters_than_the_vocabulary_holds(model_type: str, first: int) -> None:
    draw = random.Random(0)
    lines = ["".join(chr(first + draw.randrange(1200)) for _ in range(12)) for _ in range(400)]
    tokenizer = train(lines, model_type=model_type)
    assert tokenizer.vocab_size == 512
    assert_round_trips(tokenizer, lines)


def test_frequent_characters_get_the_pieces() -> None:
    lines = ["漢字" * 50, "".join(chr(0x4E00 + i) for i in range(1000))]
    tokenizer = train(lines, model_type="unigram")
    assert len(tokenizer.encode("漢")) == 1
    # By code point among equals, so the last of those seen once is spelled in three bytes.
    assert len(tokenizer.encode(chr(0x4E00 + 999))) == 3


@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("line", ["ab" * 60_000, "a" * 60_000, " " * 3000 + "x"])
def test_an_unbroken_run_trains(model_type: str, line: str) -> None:
    assert_round_trips(train([line], model_type=model_type), [line])


def test_the_trainer_gets_no_long_run_and_all_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """On some runs of a few 100,000 characters it overflows, on others it takes minutes."""
    given: list[str] = []

    def spy(*, sentence_iterator: Iterator[str], **settings: object) -> None:
        given.extend(sentence_iterator)
        raise RuntimeError("seen enough")

    monkeypatch.setattr(sentencepiece.SentencePieceTrainer, "train", spy)
    lines = ["short  words only ", "x" * 1000 + " a  " + "yz" * 600 + "  "]
    with pytest.raises(TpError, match="seen enough"):
        train(lines)
    assert "".join(given) == "".join(lines)
    assert given[0] == lines[0]
    assert max(len(run) for text in given for run in text.split(" ")) <= 256


def test_too_small_a_vocabulary_names_the_number_needed() -> None:
    with pytest.raises(TpError, match=r"^tokenizer\.vocab_size = 200 is too small for this text"):
        train(PHRASES, vocab_size=200)
    with pytest.raises(TpError) as refused:
        train(PHRASES, vocab_size=261)
    needed = int(str(refused.value).split("at least ")[1].split()[0])
    assert_round_trips(train(PHRASES, vocab_size=needed), PHRASES[:50])
    with pytest.raises(TpError, match=f"at least {needed} "):
        train(PHRASES, vocab_size=needed - 1)


@pytest.mark.parametrize("lines", [[], [""], ["\t", "\0\0"]])
def test_nothing_to_train_on(lines: list[str]) -> None:
    with pytest.raises(TpError, match=r"no text to train"):
        train(lines)


def test_an_unknown_model_type() -> None:
    with pytest.raises(TpError, match=r"tokenizer\.model_type = 'word' is not one of unigram, bpe"):
        train(PHRASES, model_type="word")


def test_trainer_errors_are_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**arguments: object) -> None:
        raise RuntimeError("INTERNAL: src/some.cc(1) [it broke]")

    monkeypatch.setattr(sentencepiece.SentencePieceTrainer, "train", fail)
    with pytest.raises(TpError, match=r"^training the bpe tokenizer failed .*it broke"):
        train(PHRASES)


def test_large_corpora_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TRAINING_LINES", 300)
    first = train(PHRASES, seed=0)
    assert train(PHRASES, seed=0).model_bytes == first.model_bytes
    assert train(PHRASES, seed=1).model_bytes != first.model_bytes
    assert train(PHRASES[:300], seed=0).model_bytes != first.model_bytes
    monkeypatch.setattr(module, "MAX_TRAINING_CHARACTERS", 2000)
    assert train(PHRASES, seed=0).model_bytes != first.model_bytes
    monkeypatch.setattr(module, "MAX_TRAINING_CHARACTERS", 1)
    assert_round_trips(train(PHRASES, seed=0), PHRASES[:20])  # one line at least


def test_saving_and_loading(tmp_path: Path) -> None:
    tokenizer = train(PHRASES)
    file = tmp_path / "spm.model"
    file.write_bytes(tokenizer.model_bytes)
    for again in (Tokenizer.load(file), Tokenizer.from_bytes(tokenizer.model_bytes)):
        assert again.model_bytes == tokenizer.model_bytes
        assert again.encode_many(PHRASES[:99]) == tokenizer.encode_many(PHRASES[:99])


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_what_is_no_model(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "spm.model"
    file.write_bytes(content)
    with pytest.raises(TpError, match=r"spm\.model: this is not a SentencePiece model"):
        Tokenizer.load(file)
    with pytest.raises(TpError, match="not a SentencePiece model"):
        Tokenizer.from_bytes(content)
    with pytest.raises(TpError, match="can't read the tokenizer"):
        Tokenizer.load(tmp_path / "elsewhere.model")


def test_a_foreign_model(tmp_path: Path) -> None:
    prefix = tmp_path / "foreign"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(PHRASES),
        model_prefix=str(prefix),
        vocab_size=200,
        minloglevel=2,
    )
    with pytest.raises(TpError, match=r"pad, bos, eos, unk = -1, 1, 2, 0 instead of 0, 1, 2, 3"):
        Tokenizer.load(prefix.with_suffix(".model"))


@pytest.mark.parametrize(("text", "name"), [("a\u2581b", "2581"), ("\udc80", "DC80")])
def test_text_that_has_no_ids(trained: Tokenizer, text: str, name: str) -> None:
    with pytest.raises(TpError, match=f"the character U\\+{name} can't be tokenised"):
        trained.encode(text)


@pytest.mark.parametrize("token", [-1, 512, 10**9])
def test_ids_outside_the_vocabulary(trained: Tokenizer, token: int) -> None:
    with pytest.raises(TpError, match=f"token id {token} is outside the vocabulary"):
        trained.decode([token])


def test_specials_have_no_text(trained: Tokenizer) -> None:
    ids = trained.encode("a b")
    assert trained.decode([1, *ids, 3, 2, 0, 0]) == "a b"
    assert trained.decode([]) == ""


def byte(value: int) -> int:
    return 4 + value


def test_unfinished_characters(trained: Tokenizer) -> None:
    smile = [byte(value) for value in "😀".encode()]
    assert trained.decode(smile) == "😀"
    assert trained.decode(smile[:3]) == "\ufffd"
    assert trained.decode([*smile[:2], *trained.encode("x")]) == "\ufffdx"


def test_streaming_never_breaks_a_character(trained: Tokenizer) -> None:
    decoder = trained.stream_decoder()
    pieces = [decoder.push(byte(value)) for value in "é😀".encode()]
    assert pieces == ["", "é", "", "", "", "😀"]
    assert decoder.push(byte(0xE2)) == ""
    assert decoder.push(trained.eos_id) == ""
    assert decoder.flush() == "\ufffd"


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, 318)))
def test_streaming_adds_up_to_decoding(trained: Tokenizer, ids: list[int]) -> None:
    decoder = trained.stream_decoder()
    assert "".join(map(decoder.push, ids)) + decoder.flush() == trained.decode(ids)
