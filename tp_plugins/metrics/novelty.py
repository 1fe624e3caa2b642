"""Runs of words that the training text doesn't have (McCoy et al. 2023, arXiv:2111.09509).

    novel(n) of a sample = its runs of n words that no training phrase has / its runs of n words

for n = 1 to 8, and the mean over the samples that have n words. Words stand between white space
(words.py), and a run lies within one phrase. Small n are all old, large n all new, in any text:
what tells is the difference to held-out phrases. Less novel than those means copying in pieces.

The runs of the training text are kept as 64-bit hashes, by simple tabulation (Carter and Wegman
1979, Universal classes of hash functions): for each place in a run a table of random numbers, one
per word, added up modulo 2^64. Two runs share a hash with probability 2^-64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tp_core.interfaces import Headline, MetricView
from tp_core.rng import generator
from tp_plugins.metrics.shared.once import Once
from tp_plugins.metrics.shared.values import PerSample, means
from tp_plugins.metrics.shared.words import Numbered, numbered, words

LONGEST = 8


class Novelty:
    of_samples = True
    headline = (Headline("novel.2", "share", "neither"), Headline("novel.4", "share", "neither"))

    def __init__(self, options: Any, ctx: Any) -> None:
        self._known = Once(_known_runs)

    def compute(self, view: MetricView) -> dict[str, Any]:
        """Null where no sample has n words, or there is no training text."""
        return means(self.per_sample(view))

    def per_sample(self, view: MetricView) -> PerSample:
        """NaN for samples of fewer than n words."""
        texts = view.texts.get("train", ())
        if not texts:
            nothing = np.full(len(view.samples), np.nan)
            return {f"novel.{n}": nothing.copy() for n in range(1, LONGEST + 1)}
        return dict(self._known(texts).novel(view.samples))


@dataclass(frozen=True, eq=False)
class _Runs:
    """Hashes uint64 of all runs of a text, ascending: `by_length[n - 1]` of n words.

    `tables` uint64 [LONGEST, words + 1]: what a word adds to the hash at each place in a run.
    """

    text: Numbered
    tables: NDArray[np.uint64]
    by_length: Sequence[NDArray[np.uint64]]

    def novel(self, samples: Sequence[str]) -> PerSample:
        numbers = self.text.numbers
        found = [words(text) for text in samples]
        # 0 ends a phrase, and stands for words that the training text doesn't have: no run has it.
        line = np.array([numbers.get(w, 0) for own in found for w in (*own, "")], np.int32)
        lengths = np.array([len(own) + 1 for own in found], np.int64)
        owner = np.repeat(np.arange(len(found)), lengths)
        ends = np.zeros(len(line), np.bool_)
        ends[np.cumsum(lengths) - 1] = True
        result = {}
        for n, hashes, starts in _runs(line, self.tables, ends=ends):
            known = self.by_length[n - 1]
            at = np.minimum(np.searchsorted(known, hashes), max(len(known) - 1, 0))
            new = known[at] != hashes if len(known) else np.ones(len(hashes), np.bool_)
            total = np.bincount(owner[starts], minlength=len(found))
            count = np.bincount(owner[starts], new, minlength=len(found))
            result[f"novel.{n}"] = np.where(total > 0, count / np.maximum(total, 1), np.nan)
        return result


def _known_runs(texts: Sequence[str]) -> _Runs:
    text = numbered(texts)
    tables = generator(0, "novelty").integers(
        2**64, size=(LONGEST, len(text.numbers) + 1), dtype=np.uint64
    )
    by_length = []
    for _, hashes, _ in _runs(text.words, tables, ends=text.words == 0):
        hashes.sort()
        by_length.append(hashes[np.diff(hashes, prepend=~hashes[:1]) != 0])
    return _Runs(text, tables, by_length)


def _runs(
    line: NDArray[np.int32], tables: NDArray[np.uint64], *, ends: NDArray[np.bool_]
) -> Iterator[tuple[int, NDArray[np.uint64], NDArray[np.int64]]]:
    """For n = 1 to LONGEST: the hash of each run of n words, and where in `line` it starts.

    `ends` marks what is no word but the end of a phrase; no run reaches over it.
    """
    starts = np.flatnonzero(~ends)
    hashes = np.zeros(len(starts), np.uint64)
    for n in range(1, LONGEST + 1):
        if n > 1:
            inside = ~ends[starts + n - 1]  # the last phrase has an end, so this place exists
            starts, hashes = starts[inside], hashes[inside]
        hashes = hashes + tables[n - 1][line[starts + n - 1]]
        yield n, hashes.copy(), starts
