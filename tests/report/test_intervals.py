"""Intervals against scipy's, against formulas, and against how often they hold what they should."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from tp_core.report.intervals import LEAST, SUBSAMPLES, of_mean, of_subsets, wilson


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("k", "n"), [(0, 200), (1, 9), (37, 200), (100, 100), (5, 10)])
def test_wilson_is_scipys(k: int, n: int) -> None:
    wanted = scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    found = wilson(k / n, n)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_a_mean_is_bootstrapped_as_scipy_does() -> None:
    values = rng(1).gamma(2.0, 3.0, 150)
    found = of_mean(values, rng())
    wanted = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    assert found is not None
    assert found.method == "bootstrap"
    width = wanted.high - wanted.low
    assert found.low == pytest.approx(wanted.low, abs=0.05 * width)
    assert found.high == pytest.approx(wanted.high, abs=0.05 * width)
    assert of_mean(values, rng()) == found


def test_what_does_not_count_is_left_out() -> None:
    values = rng(2).normal(size=40)
    padded = np.concatenate([values, np.full(25, np.nan)])
    assert of_mean(padded, rng()) == of_mean(values, rng())


def test_a_rate_gets_wilsons() -> None:
    never = of_mean(np.zeros(200), rng())
    assert never is not None
    assert never.method == "wilson"
    assert never.low == 0
    assert 0.01 < never.high < 0.03  # a bootstrap would say 0: that it surely never happens


@pytest.mark.parametrize("n", [0, 1, LEAST - 1])
def test_too_few_get_none(n: int) -> None:
    assert of_mean(np.ones(n) * 0.5, rng()) is None
    assert of_subsets({"a": 1.0}, lambda indices: {"a": 1.0}, n, rng()) == {}


@pytest.mark.parametrize("n", [200, 201, 9])
def test_of_a_mean_subsets_give_the_standard_error(n: int) -> None:
    """The scale √(m / (n − m)) makes of subsets' spread exactly what independent samples have."""
    values = rng(3).normal(10, 1, n)
    half_width = []
    for seed in range(30):
        found = of_subsets(
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

    of_subsets({"a": 0.5}, note, 31, rng())
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
        found = of_subsets(
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

    assert set(of_subsets(figures, compute, 20, rng())) == {"a"}


def test_nothing_negative_where_nothing_can_be() -> None:
    spread = rng(4).exponential(1, 20)
    low = of_subsets({"a": 0.1}, lambda i: {"a": float(spread[i].max())}, 20, rng())["a"].low
    assert low == 0
    below = of_subsets({"a": 0.1}, lambda i: {"a": float(spread[i].max()) - 3}, 20, rng())["a"].low
    assert below < 0
