"""Paired differences, intervals over seeds, and when likelihoods are not compared."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tp_core.compare.evaluated_run import EvaluatedRun
from tp_core.compare.likelihood import compare_groups, paired_difference
from tp_core.compare.seed_groups import group
from tp_core.interfaces.metrics import SplitLosses
from tp_core.statistics import RESAMPLES

CONFIG: dict[str, Any] = {
    "data": {"val_fraction": 0.1, "test_fraction": 0.1, "split_seed": 0, "layout": "lines"},
    "model": {"d_model": 8},
    "train": {"seed": 1},
}


def losses(seed: int, n: int = 60, shift: float = 0.0) -> SplitLosses:
    rng = np.random.default_rng(seed)
    sizes = np.random.default_rng(0).integers(5, 40, n)
    return SplitLosses(sizes * (1.5 + shift) + rng.normal(0, 2, n), sizes // 2, sizes)


def run(
    run_id: str, shift: float = 0.0, width: int = 8, seed: int = 1, noise: int = 3, **changes: Any
) -> EvaluatedRun:
    config = copy.deepcopy(CONFIG)
    config["model"]["d_model"], config["train"]["seed"] = width, seed
    config["data"].update({k: v for k, v in changes.items() if k in config["data"]})
    made = {
        "id": run_id,
        "step": 1,
        "config": config,
        "provenance": {"data": {"sha256": changes.get("sha256", "x")}},
        "tokenizer": "t",
        "parameters": 1,
        "flops_per_token": 1.0,
        "tokens_per_second": None,
        "samples": (),
        "losses": losses(noise, shift=shift),
        "lines": changes.get("lines", "same"),
        "without": changes.get("without", ""),
    }
    return EvaluatedRun(**made)


def test_the_bootstrap_is_scipys() -> None:
    a, b = losses(1), losses(2, shift=0.05)
    ours = paired_difference(a, b)

    def bits(difference: Any, size: Any, axis: int = -1) -> Any:
        return difference.sum(axis) / size.sum(axis) / math.log(2)

    theirs = stats.bootstrap(
        (b.nll - a.nll, b.bytes.astype(float)),
        bits,
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.estimate == pytest.approx(bits(b.nll - a.nll, b.bytes), rel=1e-12)
    assert abs(ours.low - theirs.low) < 0.06 * width
    assert abs(ours.high - theirs.high) < 0.06 * width


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(5, 40, 80)
        a = SplitLosses(sizes * 1.0, sizes, sizes)
        b = SplitLosses(sizes * 1.1 + rng.normal(0, 3, 80), sizes, sizes)
        found = paired_difference(a, b)
        covered += found.low <= 0.1 / math.log(2) <= found.high
    assert 0.88 <= covered / 150 <= 0.99


def test_what_lines_share_cancels() -> None:
    rng = np.random.default_rng(4)
    sizes = rng.integers(5, 40, 50)
    hard = rng.normal(0, 30, 50)
    a = SplitLosses(sizes + hard, sizes, sizes)
    b = SplitLosses(sizes * 1.01 + hard, sizes, sizes)
    found = paired_difference(a, b)
    assert found.low == pytest.approx(found.high)
    assert found.estimate == pytest.approx(0.01 / math.log(2))


def test_many_lines_take_no_more_memory_at_once() -> None:
    n = 50_000
    sizes = np.full(n, 10)
    a = SplitLosses(np.full(n, 10.0), sizes, sizes)
    b = SplitLosses(np.full(n, 11.0), sizes, sizes)
    found = paired_difference(a, b)
    assert (found.low, found.high) == pytest.approx((0.1 / math.log(2),) * 2)
    assert RESAMPLES >= 1000


def test_runs_that_differ_only_in_seed_are_one_group() -> None:
    runs = [run("a1"), run("b1", width=16), run("a2", seed=2), run("b2", width=16, seed=2)]
    assert [g.name for g in group(runs)] == ["a1+a2", "b1+b2"]
    assert [g.name for g in group([run("a"), run("b", split_seed=2)])] == ["a", "b"]


def test_equal_seeds_are_paired_and_others_are_not() -> None:
    a = [run(f"a{s}", seed=s, noise=s) for s in (1, 2, 3)]
    b = [run(f"b{s}", 0.05, 16, seed=s, noise=s) for s in (1, 2, 3)]
    (paired,) = compare_groups(group([*a, *b]))
    assert paired.by == "seeds, paired"
    assert paired.difference is not None
    # The noise of a seed is the same on both sides: nothing of it is left.
    assert paired.difference.low == pytest.approx(paired.difference.high, abs=1e-9)
    assert paired.difference.estimate == pytest.approx(0.05 / math.log(2))
    c = [run(f"c{s}", 0.05, 16, seed=s, noise=s) for s in (7, 8)]
    (unpaired,) = compare_groups(group([*a, *c]))
    assert unpaired.by == "seeds"
    assert unpaired.difference is not None
    assert unpaired.difference.high - unpaired.difference.low > 0.01


def test_a_copy_of_a_run_is_no_other_seed() -> None:
    (alone,) = group([run("a"), run("copy")])
    assert alone.bits_per_byte is None
    a = [run("a1"), run("copy"), run("a2", seed=2, noise=4)]
    b = [run("b1", 0.05, 16), run("b2", 0.05, 16, seed=2, noise=4)]
    (verdict,) = compare_groups(group([*a, *b]))
    (without,) = compare_groups(group([a[0], a[2], *b]))
    assert verdict.by == "seeds, paired"
    assert verdict.difference == without.difference


def test_one_seed_against_several_is_not_compared() -> None:
    runs = [run("a1"), run("a2", seed=2), run("b", width=16)]
    (verdict,) = compare_groups(group(runs))
    assert verdict.difference is None
    assert "b has only one seed" in verdict.refusal


def test_a_single_line_says_nothing_of_others() -> None:
    a, b = (replace(run(name, width=w), losses=losses(1, n=1)) for name, w in (("a", 8), ("b", 16)))
    (verdict,) = compare_groups(group([a, b]))
    assert verdict.difference is None
    assert "a single validation line" in verdict.refusal


def test_every_run_is_compared_with_the_first() -> None:
    runs = [run("a"), run("b", 0.1, 16), run("c", -0.1, 32)]
    first, second = compare_groups(group(runs))
    assert (first.a, first.b, first.by) == ("a", "b", "lines")
    assert first.difference is not None
    assert first.difference.low > 0
    assert second.difference is not None
    assert second.difference.high < 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sha256": "y"}, "trained on different data"),
        ({"split_seed": 5}, "data.split_seed"),
        ({"val_fraction": 0.2}, "data.val_fraction"),
        ({"lines": "others"}, "score different parts of their validation lines"),
        ({"without": "the file is gone"}, "b can't be scored: the file is gone"),
    ],
)
def test_likelihoods_of_different_lines_are_not_compared(
    changes: dict[str, Any], words: str
) -> None:
    (verdict,) = compare_groups(group([run("a"), run("b", width=16, **changes)]))
    assert verdict.difference is None
    assert words in verdict.refusal
