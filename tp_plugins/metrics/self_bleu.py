"""How much the samples resemble each other (Zhu et al. 2018, arXiv:1802.01886).

The mean over the samples of the BLEU-4 (Papineni et al. 2002) of each one, all others being its
references. With words as in words.py, c(g) a sample's count of the run g, and r(g) the largest
count of it in any other sample:

    p_n  = Σ min(c(g), r(g)) / Σ c(g)          over the sample's runs of n words, n = 1 … 4
    BLEU = min(1, e^(1 − R/C)) · (p_1 p_2 p_3 p_4)^(1/4)

C being the sample's words and R those of the other sample that comes closest in length, the shorter
one of two. As in the authors' code, a p_n of 0 counts as 0.1 / Σ c(g) (method 1 of Chen and Cherry
2014, with at least 1 below), while a sample that shares no word has a BLEU of 0. Each r(g) is read
off the two largest counts of g in all samples, so that time grows with their number, not its
square.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tp_core.interfaces import Headline, MetricView
from tp_plugins.metrics.shared.values import finite
from tp_plugins.metrics.shared.words import ngrams, words

ORDERS = (1, 2, 3, 4)
_EPSILON = 0.1

Counts = Counter[tuple[str, ...]]


class SelfBleu:
    of_samples = True
    headline = (Headline("self_bleu", "BLEU", "lower"),)

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """From 0 to 1; null of fewer than two samples, where there is nothing to resemble."""
        losses = bleu_of_each(view.samples)
        mean = finite(math.fsum(losses) / len(losses)) if len(losses) > 1 else None
        return {"samples": len(losses), "self_bleu": mean}


def bleu_of_each(samples: Sequence[str]) -> list[float]:
    """BLEU-4 of each sample, the others being its references; 0 of one alone."""
    log_precision = [0.0] * len(samples)
    for n in ORDERS:
        counts = [Counter(ngrams(text, n)) for text in samples]
        largest = _two_largest(counts)
        for index, own in enumerate(counts):
            shared = sum(min(c, _of_others(largest[g], c)) for g, c in own.items())
            if n == 1 and not shared:
                log_precision[index] = -math.inf
            log_precision[index] += math.log((shared or _EPSILON) / max(own.total(), 1))
    lengths = [len(words(text)) for text in samples]
    ordered = sorted(lengths)
    return [
        _brevity(length, ordered) * math.exp(total / len(ORDERS))
        for length, total in zip(lengths, log_precision, strict=True)
    ]


def _two_largest(counts: Sequence[Counts]) -> dict[tuple[str, ...], tuple[int, int]]:
    """Of each run, its largest count in any sample, and the next one, which may be as large."""
    largest: dict[tuple[str, ...], tuple[int, int]] = {}
    for own in counts:
        for run, count in own.items():
            first, second = largest.get(run, (0, 0))
            if count > first:
                largest[run] = (count, first)
            elif count > second:
                largest[run] = (first, count)
    return largest


def _of_others(largest: tuple[int, int], own: int) -> int:
    """The largest count in any other sample: where the own one is the largest, the next."""
    first, second = largest
    return second if own == first else first


def _brevity(length: int, ordered: Sequence[int]) -> float:
    """The penalty on a sample of `length` words; `ordered` are the lengths of all, its own too."""
    if not length or len(ordered) < 2:
        return 0.0
    at = bisect_left(ordered, length)
    others = (*ordered[max(at - 1, 0) : at], *ordered[at + 1 : at + 2])
    closest = min(others, key=lambda other: (abs(other - length), other))
    return min(1.0, math.exp(1 - closest / length))
