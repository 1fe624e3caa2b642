"""Intervals and tests: how far a figure would move with other data. Torch-free.

- A **mean over samples** is bootstrapped (Efron, 1979): n values drawn with replacement, their
  mean, RESAMPLES times; the interval lies between the percentiles. Where every value is 0 or 1 the
  mean is a rate, and a bootstrap of "never" would say "surely never"; there it is Wilson's score
  interval (1927).
- A **ratio of sums**, as bits per byte are over lines, is bootstrapped by its pairs (Efron and
  Tibshirani, 1993, An Introduction to the Bootstrap, chapter 13).
- A **figure that duplicates enter** (share of distinct texts, distinct n-grams, self-BLEU, how well
  the samples compress) must not be bootstrapped: drawing with replacement makes duplicates that no
  model made. It is computed anew on subsets drawn without: `subsampling_intervals`.
- A **mean over a few independent values**, as over seeds, has Student's interval, and the
  difference of two such means Welch's (1947).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 2000
SUBSAMPLES = 100
LEAST = 8
"""Fewer samples than this get no interval: it would promise more than they can hold."""

_CELLS = 1 << 20  # values resampled at a time


@dataclass(frozen=True)
class Interval:
    """An estimate, and the interval that holds the truth in `level` of such cases.

    `method`: `bootstrap`, `wilson`, `subsampling`, `student` or `welch`.
    """

    estimate: float
    low: float
    high: float
    method: str
    level: float = LEVEL

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def mean_interval(values: NDArray[np.float64], rng: np.random.Generator) -> Interval | None:
    """Of the mean of `values` [n], NaN left out: by bootstrap, or Wilson's of a rate.

    None for less than LEAST values.
    """
    values = values[~np.isnan(values)]
    if len(values) < LEAST:
        return None
    if bool(np.isin(values, (0.0, 1.0)).all()):
        return wilson_interval(int(values.sum()), len(values))
    return _bootstrap((values,), np.mean, rng)


def ratio_interval(
    numerators: NDArray[np.float64], denominators: NDArray[np.float64], rng: np.random.Generator
) -> Interval:
    """Of the sum of `numerators` [n] over that of `denominators` [n], which are drawn in pairs.

    n is at least 2.
    """

    def ratio(above: NDArray[np.float64], below: NDArray[np.float64], axis: int = -1) -> Any:
        return above.sum(axis) / below.sum(axis)

    return _bootstrap((numerators, denominators), ratio, rng)


def _bootstrap(
    data: tuple[NDArray[np.float64], ...],
    statistic: Callable[..., Any],
    rng: np.random.Generator,
) -> Interval:
    """Percentile bootstrap of `statistic(*data, axis)`, the arrays [n] of `data` drawn alike."""
    from scipy import stats

    found = stats.bootstrap(
        data,
        statistic,
        n_resamples=RESAMPLES,
        batch=max(_CELLS // len(data[0]), 1),
        vectorized=True,
        paired=True,
        confidence_level=LEVEL,
        method="percentile",
        rng=rng,
    ).confidence_interval
    estimate = float(statistic(*data, axis=-1))
    return Interval(estimate, float(found.low), float(found.high), "bootstrap")


def wilson_interval(successes: int, n: int) -> Interval:
    """Of a rate that `successes` of `n` trials have shown; n at least 1."""
    from scipy import stats

    found = stats.binomtest(successes, n).proportion_ci(LEVEL, method="wilson")
    return Interval(successes / n, float(found.low), float(found.high), "wilson")


def subsampling_intervals(
    figures: Mapping[str, float],
    compute: Callable[[NDArray[np.int64]], Mapping[str, float]],
    n: int,
    rng: np.random.Generator,
) -> dict[str, Interval]:
    """Of each of `figures`, all of n samples; `compute` gives them anew of a subset's indices.

    A figure that some subset doesn't have gets none, and none has one of less than LEAST samples.

    The subsets are SUBSAMPLES of m = n/2 samples (Politis, Romano and Wolf, 1999, Subsampling).
    With s_m the standard deviation of what they give, for a statistic that settles at the rate √n,

        figure ± z · s_m · √(m / (n − m))

    √(m/n) scales from m samples to n, and 1/√(1 − m/n) undoes that subsets of a finite set vary
    less than fresh samples would (for a mean, s_m² = s²/m · (1 − m/n), which makes it exactly
    s/√n). Such a figure also depends on n itself, so the deviations are taken from the subsets' own
    mean. Where no subset's is negative, the interval doesn't go below 0.
    """
    from scipy import stats

    m = n // 2
    if n < LEAST:
        return {}
    seen = [compute(np.sort(rng.permutation(n)[:m])) for _ in range(SUBSAMPLES)]
    scale = float(stats.norm.ppf((1 + LEVEL) / 2)) * math.sqrt(m / (n - m))
    found = {}
    for key, figure in figures.items():
        values = [one[key] for one in seen if key in one]
        if len(values) == len(seen):
            half_width = scale * float(np.std(values, ddof=1))
            low = figure - half_width
            # A distance or a share is never negative, and neither is its interval.
            low = max(low, 0.0) if min(values) >= 0 else low
            found[key] = Interval(figure, low, figure + half_width, "subsampling")
    return found


def student_interval(values: Sequence[float]) -> Interval:
    """Of the mean of two or more independent values."""
    from scipy import stats

    # By hand, because `stats.t.interval` gives NaN where all values are equal.
    half_width = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * stats.sem(values))
    mean = float(np.mean(values))
    return Interval(mean, mean - half_width, mean + half_width, "student")


def welch_interval(a: Sequence[float], b: Sequence[float]) -> Interval:
    """Of the mean of b minus the mean of a, two or more independent values each, whose variances
    may differ."""
    from scipy import stats

    estimate = float(np.mean(b) - np.mean(a))
    if np.ptp(a) == np.ptp(b) == 0:  # scipy warns that nothing can be said
        return Interval(estimate, estimate, estimate, "welch")
    found = stats.ttest_ind(b, a, equal_var=False).confidence_interval(LEVEL)
    return Interval(estimate, float(found.low), float(found.high), "welch")


def binomial_tail(k: int, n: int, p: float) -> float:
    """The probability of `k` or more of `n` when each has probability `p`."""
    from scipy import stats

    return float(stats.binom.sf(k - 1, n, p))
