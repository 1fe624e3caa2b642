"""The phrases that come with the package: enough of them, and not the same over and over."""

from __future__ import annotations

import string
from collections import Counter
from pathlib import Path

import pytest

from tp_core.data.lines import Lines, read_lines


@pytest.fixture(scope="module")
def phrases() -> Lines:
    return read_lines(Path(__file__).parents[2] / "phrases.txt")


def words(phrase: str) -> list[str]:
    stripped = (word.strip(string.punctuation + "’‘“”…—–").lower() for word in phrase.split())
    return [word for word in stripped if word]


def test_enough_distinct_phrases(phrases: Lines) -> None:
    assert len(set(phrases.lines)) >= 2000
    assert phrases.blank == 0


def test_no_phrase_comes_twice(phrases: Lines) -> None:
    counts = Counter(" ".join(phrase.lower().split()) for phrase in phrases.lines)
    assert [phrase for phrase, count in counts.items() if count > 1] == []


def test_three_to_twelve_words(phrases: Lines) -> None:
    assert [phrase for phrase in phrases.lines if not 3 <= len(phrase.split()) <= 12] == []


def test_no_stray_whitespace(phrases: Lines) -> None:
    assert [phrase for phrase in phrases.lines if phrase != " ".join(phrase.split())] == []


def test_many_distinct_words(phrases: Lines) -> None:
    assert len({word for phrase in phrases.lines for word in words(phrase)}) >= 3500


def test_no_run_of_four_words_is_worn_out(phrases: Lines) -> None:
    runs: Counter[tuple[str, ...]] = Counter()
    for phrase in phrases.lines:
        spoken = words(phrase)
        runs.update(zip(*(spoken[start:] for start in range(4)), strict=False))
    assert [run for run, count in runs.items() if count > 10] == []
