"""What counts as a word, for every metric: a stretch between white space, as `str.split` cuts.

Case and punctuation stay as they are: "The", "the" and "the," are three words.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tp_plugins.metrics.shared.once import Once


def words(text: str) -> list[str]:
    """The words of a phrase, in order."""
    return text.split()


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """The runs of `n` words of a phrase, in order; none where it has fewer words."""
    found = words(text)
    return list(zip(*(found[k:] for k in range(n)), strict=False))


@dataclass(frozen=True, eq=False)
class Numbered:
    """Phrases as numbers of words.

    `numbers`: by word, from 1. `words` int32: the phrases end to end, a 0 after each.
    """

    numbers: Mapping[str, int]
    words: NDArray[np.int32]


class _Numbering(dict[str, int]):
    def __missing__(self, word: str) -> int:
        self[word] = number = len(self) + 1
        return number


def number(texts: Sequence[str]) -> Numbered:
    """The words of all texts, numbered in the order they first occur."""
    numbering = _Numbering()
    found = array("i")
    for text in texts:
        found.extend(map(numbering.__getitem__, words(text)))
        found.append(0)
    return Numbered(dict(numbering), np.frombuffer(found, np.intc).astype(np.int32, copy=False))


numbered = Once(number)
"""The same, kept for the texts last asked about, for all metrics together."""
