"""Character n-grams against a plain reference, and against what probabilities must do."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tp_core.evaluation.char_ngram import ALPHABET_SIZE, CharNgram

LINES = ["abab", "abc", "", "b a b", "漢字 abc 😀"]
TEXT = st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0x2FFFF), max_size=8)
FEW = st.text("abc ", max_size=8)


class Reference:
    """The same model with dictionaries, one character at a time."""

    def __init__(self, order: int, lines: list[str]) -> None:
        self.order = order
        self.counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for line in lines:
            for history, symbol in self.events(line):
                for length in range(min(order - 1, len(history)) + 1):
                    self.counts[history[len(history) - length :]][symbol] += 1

    @staticmethod
    def events(line: str) -> list[tuple[tuple[str, ...], str]]:
        symbols = ["start", *line, "end"]
        return [(tuple(symbols[:i]), symbols[i]) for i in range(1, len(symbols))]

    def probability(self, history: tuple[str, ...], symbol: str) -> float:
        result = 1 / (0x110000 - 2048 + 1)
        for length in range(min(self.order - 1, len(history)) + 1):
            seen = self.counts.get(history[len(history) - length :])
            if seen:
                result = (seen[symbol] + len(seen) * result) / (seen.total() + len(seen))
        return result

    def bits(self, lines: list[str]) -> list[float]:
        return [
            -math.log2(self.probability(history, symbol))
            for line in lines
            for history, symbol in self.events(line)
        ]


@pytest.mark.parametrize("order", [1, 2, 3, 5, 9])
def test_against_the_reference(order: int) -> None:
    held_out = ["ab", "abcab", "xyz", "", "b a 漢字", "cc 😀😀"]
    model = CharNgram(order).fit(LINES)
    for lines in (LINES, held_out):
        assert model.bits(lines) == pytest.approx(Reference(order, LINES).bits(lines), rel=1e-12)


@settings(deadline=None)
@given(
    order=st.integers(1, 6),
    train=st.lists(FEW | TEXT, min_size=1, max_size=8),
    test=st.lists(FEW | TEXT, min_size=1, max_size=4),
)
def test_against_the_reference_on_anything(order: int, train: list[str], test: list[str]) -> None:
    bits = CharNgram(order).fit(train).bits(test)
    assert bits == pytest.approx(Reference(order, train).bits(test), rel=1e-12)


@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize("before", ["", "a", "ab", "b a ", "zzz", "abz"])
def test_probabilities_sum_to_one(order: int, before: str) -> None:
    model = CharNgram(order).fit(LINES)
    alphabet = sorted(set("".join(LINES)))
    nexts = model.bits([before + character for character in alphabet])
    per_line = nexts.reshape(len(alphabet), len(before) + 2)[:, len(before)]
    unseen = model.bits([before + "\u0416"])[len(before)]
    end = model.bits([before])[len(before)]
    total = (2.0**-per_line).sum() + 2.0**-end
    total += (ALPHABET_SIZE - len(alphabet) - 1) * 2.0**-unseen
    assert total == pytest.approx(1, rel=1e-12)


def test_bits_per_byte_counts_utf8_bytes_and_ends() -> None:
    model = CharNgram(3).fit(LINES)
    lines = ["ab", "漢"]
    assert model.bits(lines).shape == (3 + 2,)
    assert model.bits_per_byte(lines) == pytest.approx(model.bits(lines).sum() / (3 + 4))


def test_no_context_reaches_into_another_line() -> None:
    model = CharNgram(5).fit(LINES)
    alone = [model.bits([line]) for line in LINES]
    assert np.array_equal(model.bits(LINES), np.concatenate(alone))
    backwards = CharNgram(5).fit(LINES[::-1])
    assert np.array_equal(backwards.bits(LINES), model.bits(LINES))


def test_known_values() -> None:
    # "aa" and its end: a twice, the end once, two kinds; (2 + 2/A) / 5 and (1 + 2/A) / 5.
    bits = CharNgram(1).fit(["aa"]).bits(["aa"])
    a, end = (2 + 2 / ALPHABET_SIZE) / 5, (1 + 2 / ALPHABET_SIZE) / 5
    assert bits == pytest.approx([-math.log2(a), -math.log2(a), -math.log2(end)])
    # Seen after the start: a alone, once.
    first = CharNgram(2).fit(["aa"]).bits(["a"])[0]
    assert first == pytest.approx(-math.log2((1 + a) / 2))


def test_fitting_again_starts_afresh() -> None:
    model = CharNgram(3).fit(["something else"])
    assert np.array_equal(model.fit(LINES).bits(LINES), CharNgram(3).fit(LINES).bits(LINES))


def test_context_helps_on_english() -> None:
    file = Path(__file__).parents[2] / "phrases.txt"
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]
    train, held_out = lines[:-300], lines[-300:]
    figures = [CharNgram(order).fit(train).bits_per_byte(held_out) for order in (1, 2, 3, 5)]
    assert figures == sorted(figures, reverse=True)
    assert 4 < figures[0] < 4.6
    assert 2 < figures[-1] < 2.7
