"""Intervals against scipy's, against formulas, and against how often they hold what they should."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from tp_core.statistics import (
    LEAST,
    SUBSAMPLES,
    binomial_tail,
    mean_interval,
    ratio_interval,
    student_interval,
    subsampling_intervals,
    welch_interval,
    wilson_interval,
)

Z = 1.959963984540054  # the normal distribution's 97.5th percentile


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("k", "n"), [(0, 200), (1, 9), (37, 200), (100, 100), (5, 10)])
def test_wilson_is_scipys(k: int, n: int) -> None:
    wanted = scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    found = wilson_interval(k, n)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)
    # Wilson's formula: the rates p with |p − k/n| = z √(p (1 − p) / n).
    ends = np.roots([1 + Z**2 / n, -(2 * k / n + Z**2 / n), (k / n) ** 2])
    assert sorted(ends.real) == pytest.approx([found.low, found.high], abs=1e-9)


def test_a_mean_is_bootstrapped_as_scipy_does() -> None:
    values = rng(1).gamma(2.0, 3.0, 150)
    found = mean_interval(values, rng())
    wanted = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    assert found is not None
    assert found.method == "bootstrap"
    width = wanted.high - wanted.low
    assert found.low == pytest.approx(wanted.low, abs=0.05 * width)
    assert found.high == pytest.approx(wanted.high, abs=0.05 * width)
    assert mean_interval(values, rng()) == found


def test_what_does_not_count_is_left_out() -> None:
    values = rng(2).normal(size=40)
    padded = np.concatenate([values, np.full(25, np.nan)])
    assert mean_interval(padded, rng()) == mean_interval(values, rng())


def test_a_rate_gets_wilsons() -> None:
    never = mean_interval(np.zeros(200), rng())
    assert never is not None
    assert never.method == "wilson"
    assert never.low == 0
    assert 0.01 < never.high < 0.03  # a bootstrap would say 0: that it surely never happens


@pytest.mark.parametrize("n", [0, 1, LEAST - 1])
def test_too_few_get_none(n: int) -> None:
    assert mean_interval(np.ones(n) * 0.5, rng()) is None
    assert subsampling_intervals({"a": 1.0}, lambda indices: {"a": 1.0}, n, rng()) == {}


@pytest.mark.parametrize("n", [200, 201, 9])
def test_of_a_mean_subsets_give_the_standard_error(n: int) -> None:
    """The scale √(m / (n − m)) makes of subsets' spread exactly what independent samples have."""
    values = rng(3).normal(10, 1, n)
    half_width = []
    for seed in range(30):
        found = subsampling_intervals(
            {"mean": float(values.mean())},
            lambda indices: {"mean": float(values[indices].mean())},
            n,
            rng(seed),
        )["mean"]
        half_width.append((found.high - found.low) / 2)
        assert (found.high + found.low) / 2 == pytest.approx(values.mean())
    wanted = 1.96 * values.std(ddof=1) / math.sqrt(n)
    assert np.mean(half_width) == pytest.approx(wanted, rel=0.05)


def test_subsets_are_drawn_without_replacement() -> None:
    seen: list[NDArray[np.int64]] = []

    def note(indices: NDArray[np.int64]) -> dict[str, float]:
        seen.append(indices)
        return {"a": 0.5}

    subsampling_intervals({"a": 0.5}, note, 31, rng())
    assert len(seen) == SUBSAMPLES
    assert all(len(set(one.tolist())) == 15 for one in seen)
    assert len({tuple(one.tolist()) for one in seen}) > SUBSAMPLES // 2


def test_the_unique_rate_of_other_samples_lies_in_it() -> None:
    """Of a model that repeats itself: 19 in 20 intervals or so hold the expected rate. A bootstrap
    holds it never, since drawing with replacement repeats what no model repeated."""
    weights = 1 / np.arange(1, 401)
    weights /= weights.sum()
    expected = float((1 - (1 - weights) ** 200).sum() / 200)
    held = resampled = 0
    for seed in range(60):
        samples = rng(100 + seed).choice(400, 200, p=weights)
        rate = len(np.unique(samples)) / 200
        found = subsampling_intervals(
            {"rate": rate},
            lambda i, samples=samples: {"rate": len(np.unique(samples[i])) / len(i)},
            200,
            rng(seed),
        )["rate"]
        held += found.low <= expected <= found.high
        draws = rng(seed).integers(0, 200, (400, 200))
        rates = [len(np.unique(samples[draw])) / 200 for draw in draws]
        low, high = np.quantile(rates, (0.025, 0.975))
        resampled += low <= expected <= high
    assert held >= 52
    assert resampled <= 5


def test_a_figure_some_subset_lacks_gets_none() -> None:
    figures = {"a": 1.0, "b": 2.0}

    def compute(indices: NDArray[np.int64]) -> dict[str, float]:
        return {"a": 1.0} | ({"b": 2.0} if 0 in indices else {})

    assert set(subsampling_intervals(figures, compute, 20, rng())) == {"a"}


def test_nothing_negative_where_nothing_can_be() -> None:
    spread = rng(4).exponential(1, 20)

    def low(shift: float) -> float:
        found = subsampling_intervals(
            {"a": 0.1}, lambda i: {"a": float(spread[i].max()) - shift}, 20, rng()
        )
        return found["a"].low

    assert low(0) == 0
    assert low(3) < 0


def test_a_ratio_of_sums_is_resampled_in_pairs() -> None:
    sizes = rng(6).integers(1, 50, 90).astype(float)
    exact = ratio_interval(2.5 * sizes, sizes, rng())
    assert (exact.low, exact.estimate, exact.high) == pytest.approx((2.5, 2.5, 2.5))
    noisy = ratio_interval(2.5 * sizes + rng(7).normal(0, 3, 90), sizes, rng())
    assert noisy.low < noisy.estimate < noisy.high
    assert noisy.method == "bootstrap"


def test_intervals_over_seeds_are_students_and_welchs() -> None:
    a, b = [2.41, 2.44, 2.40], [2.37, 2.35, 2.39, 2.36]
    of_mean = scipy.stats.ttest_1samp(a, 0).confidence_interval(0.95)
    found = student_interval(a)
    assert (found.low, found.high) == pytest.approx((of_mean.low, of_mean.high))
    # By hand: means 2.4167 and 2.3675, variances 0.000433 and 0.000292, 3.9 degrees of freedom.
    welch = welch_interval(a, b)
    assert welch.estimate == pytest.approx(-0.0491667)
    error = math.sqrt(np.var(a, ddof=1) / 3 + np.var(b, ddof=1) / 4)
    parts = (np.var(a, ddof=1) / 3, np.var(b, ddof=1) / 4)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 3)
    assert welch.high - welch.estimate == pytest.approx(scipy.stats.t.ppf(0.975, freedom) * error)
    assert welch_interval([1.0, 1.0], [2.0, 2.0]).estimate == 1.0


def test_equal_values_leave_no_doubt() -> None:
    for found in (student_interval([1.5, 1.5, 1.5]), welch_interval([1.0, 1.0], [2.5, 2.5])):
        assert (found.low, found.estimate, found.high) == (1.5, 1.5, 1.5)
        assert found.excludes_zero


@pytest.mark.parametrize(
    ("k", "n", "p"), [(3, 10, 0.2), (0, 5, 0.5), (80, 84, 0.9), (4990, 5000, 0.99), (5, 5, 0.1)]
)
def test_tail_is_the_sum_of_its_terms(k: int, n: int, p: float) -> None:
    exact = Fraction(p)
    terms = (math.comb(n, i) * exact**i * (1 - exact) ** (n - i) for i in range(k, n + 1))
    assert binomial_tail(k, n, p) == pytest.approx(float(sum(terms)), rel=1e-9)
    assert binomial_tail(k, n, p) == pytest.approx(scipy.stats.binom.sf(k - 1, n, p), rel=1e-9)


def test_tail_at_the_edges() -> None:
    found = [binomial_tail(0, 3, 0.0), binomial_tail(1, 3, 0.0), binomial_tail(3, 3, 1.0)]
    assert found == [1, 0, 1]
    assert binomial_tail(0, 0, 0.5) == 1
