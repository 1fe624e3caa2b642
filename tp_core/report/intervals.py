"""How far a figure of n samples would move with n others: 95 % intervals.

A **mean over samples** is bootstrapped (Efron, 1979): n values drawn with replacement, their mean,
RESAMPLES times; the interval lies between the 2.5th and the 97.5th percentile. Where every value is
0 or 1 the mean is a rate, and a bootstrap of "never" would say "surely never"; there it is Wilson's
score interval (Wilson, 1927), with z = 1.96 and p the rate:

    (p + z²/2n ± z √(p (1 − p) / n + z²/4n²)) / (1 + z²/n)

A **figure that duplicates enter** (share of distinct texts, distinct n-grams, self-BLEU, how well
the samples compress) must not be bootstrapped: drawing with replacement makes duplicates that no
model made. It is computed anew on SUBSAMPLES subsets of m = n/2 samples drawn without replacement
(Politis, Romano and Wolf, 1999, Subsampling). With s_m their standard deviation, for a statistic
that settles at the rate √n,

    figure ± z · s_m · √(m / (n − m))

√(m/n) scales from m samples to n, and 1/√(1 − m/n) undoes that subsets of a finite set vary less
than fresh samples would (for a mean, s_m² = s²/m · (1 − m/n), which makes it exactly s/√n). Such
a figure also depends on n itself, so the deviations are taken from the subsets' own mean. Where no
subset's is negative, the interval doesn't go below 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
SUBSAMPLES = 100
LEAST = 8
"""Fewer samples than this get no interval: it would promise more than they can hold."""

_Z = 1.959963984540054  # the normal distribution's 97.5th percentile
_CELLS = 1 << 20  # values resampled at a time


@dataclass(frozen=True)
class Interval:
    """Where a figure lies with 95 % confidence; `method`: `bootstrap`, `wilson`, `subsampling`."""

    low: float
    high: float
    method: str


def of_mean(values: NDArray[np.float64], rng: np.random.Generator) -> Interval | None:
    """Of the mean of `values` [n], NaN left out; None for too few."""
    values = values[~np.isnan(values)]
    n = len(values)
    if n < LEAST:
        return None
    if bool(np.isin(values, (0.0, 1.0)).all()):
        return wilson(float(values.mean()), n)
    rows = max(_CELLS // n, 1)
    means = np.concatenate(
        [
            values[rng.integers(0, n, (min(rows, RESAMPLES - start), n))].mean(1)
            for start in range(0, RESAMPLES, rows)
        ]
    )
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(low), float(high), "bootstrap")


def of_subsets(
    figures: Mapping[str, float],
    compute: Callable[[NDArray[np.int64]], Mapping[str, float]],
    n: int,
    rng: np.random.Generator,
) -> dict[str, Interval]:
    """Of each of `figures`, all of n samples; `compute` gives them anew of a subset's indices.

    A figure that some subset doesn't have gets none.
    """
    m = n // 2
    if n < LEAST:
        return {}
    seen = [compute(np.sort(rng.permutation(n)[:m])) for _ in range(SUBSAMPLES)]
    scale = math.sqrt(m / (n - m))
    found = {}
    for key, figure in figures.items():
        values = [one[key] for one in seen if key in one]
        if len(values) == len(seen):
            half_width = _Z * float(np.std(values, ddof=1)) * scale
            low = figure - half_width
            # A distance or a share is never negative, and neither is its interval.
            low = max(low, 0.0) if min(values) >= 0 else low
            found[key] = Interval(low, figure + half_width, "subsampling")
    return found


def wilson(rate: float, n: int) -> Interval:
    """Of a rate that `rate` of `n` samples have shown; n at least 1."""
    centre = rate + _Z**2 / (2 * n)
    half_width = _Z * math.sqrt(rate * (1 - rate) / n + _Z**2 / (4 * n * n))
    whole = 1 + _Z**2 / n
    # What rounding makes of the ends where all samples agree is 0 and 1.
    low = (centre - half_width) / whole if rate > 0 else 0.0
    high = (centre + half_width) / whole if rate < 1 else 1.0
    return Interval(low, high, "wilson")
