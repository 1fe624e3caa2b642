"""Whether one model finds the validation lines likelier than another, and how sure that is.

Two checkpoints are compared line by line: what the lines have in common (some are hard for any
model) cancels in the difference. The interval is a percentile bootstrap over lines (Efron &
Tibshirani 1993, chapter 13). It says what other lines of the same kind might have shown; what
another seed might have, only runs with other seeds can say, and with those the interval is
Student's over seeds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tp_core.compare.sides import Side
from tp_core.interfaces.report import SplitScores
from tp_core.streams import stream

LEVEL = 0.95
RESAMPLES = 2000
_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Interval:
    """An estimate with the interval that holds the truth in 95 of 100 such comparisons."""

    estimate: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Group:
    """Runs whose configs differ in nothing but the seed."""

    sides: tuple[Side, ...]

    @property
    def name(self) -> str:
        return "+".join(side.id for side in self.sides)

    @property
    def replicates(self) -> tuple[Side, ...]:
        """One run of each seed: the same seed again is the same run again, not another draw."""
        return tuple({side.seed: side for side in reversed(self.sides)}.values())[::-1]

    @property
    def bits_per_byte(self) -> Interval | None:
        """The mean over seeds; None for less than two, or where a run has no scores."""
        values = [side.bits_per_byte for side in self.replicates]
        known = [value for value in values if value is not None]
        return mean_interval(known) if 1 < len(known) == len(values) else None


@dataclass(frozen=True)
class Verdict:
    """B against A in bits per byte: B minus A, so that below zero B is better.

    `by` is what was resampled: `lines`, or `seeds`, paired by seed or not. Without an interval,
    `refusal` says why there is none.
    """

    a: str
    b: str
    difference: Interval | None
    by: str
    refusal: str = ""


def group(sides: Sequence[Side]) -> list[Group]:
    """The runs by config, in the order of their first."""
    found: dict[str, list[Side]] = {}
    for side in sides:
        train = {key: value for key, value in side.config["train"].items() if key != "seed"}
        found.setdefault(json.dumps({**side.config, "train": train}, sort_keys=True), []).append(
            side
        )
    return [Group(tuple(members)) for members in found.values()]


def judge(groups: Sequence[Group]) -> list[Verdict]:
    """Every group against the first; within one group, every run against its first."""
    if len(groups) == 1:
        first, *others = groups[0].sides
        return [_by_lines(first, other) for other in others]
    return [_judge(groups[0], other) for other in groups[1:]]


def _judge(a: Group, b: Group) -> Verdict:
    if len(a.sides) == 1 and len(b.sides) == 1:
        return _by_lines(a.sides[0], b.sides[0])
    for side in (*a.sides, *b.sides):
        if refusal := why_not(a.sides[0], side):
            return Verdict(a.name, b.name, None, "seeds", refusal)
    if min(len(a.replicates), len(b.replicates)) < 2:
        alone = a if len(a.replicates) == 1 else b
        return Verdict(
            a.name,
            b.name,
            None,
            "seeds",
            f"{alone.name} has one seed: train it with the seeds of the other",
        )
    of_a, of_b = ({s.seed: s.bits_per_byte or 0.0 for s in g.replicates} for g in (a, b))
    if set(of_a) == set(of_b):
        paired = [of_b[seed] - of_a[seed] for seed in of_a]
        return Verdict(a.name, b.name, mean_interval(paired), "seeds, paired")
    values = (list(of_a.values()), list(of_b.values()))
    return Verdict(a.name, b.name, welch_interval(*values), "seeds")


def _by_lines(a: Side, b: Side) -> Verdict:
    refusal = why_not(a, b)
    if refusal or a.scores is None or b.scores is None:
        return Verdict(a.id, b.id, None, "lines", refusal)
    return Verdict(a.id, b.id, paired_bootstrap(a.scores, b.scores), "lines")


def why_not(a: Side, b: Side) -> str:
    """Why the likelihoods of two runs say nothing about each other; empty where they do."""
    for side in (a, b):
        if side.without:
            return f"{side.id} can't be scored: {side.without}"
    if _data(a).get("sha256") != _data(b).get("sha256"):
        return f"{a.id} and {b.id} were trained on different data"
    for key in ("val_fraction", "test_fraction", "split_seed"):
        if a.config["data"].get(key) != b.config["data"].get(key):
            return f"{a.id} and {b.id} split their data differently (data.{key})"
    if a.lines != b.lines:
        return (
            f"{a.id} and {b.id} count their validation lines differently "
            "(data.layout or data.overlong)"
        )
    return ""


def _data(side: Side) -> Mapping[str, Any]:
    return side.provenance.get("data") or {}


def paired_bootstrap(a: SplitScores, b: SplitScores) -> Interval:
    """Bits per byte of b minus those of a, over the same lines in the same order."""
    difference, size = b.nll - a.nll, a.bytes.astype(np.float64)
    n = len(difference)
    draw = stream(0, "compare", "lines")
    means = []
    step = max(1, _DRAWS_AT_ONCE // n)
    for start in range(0, RESAMPLES, step):
        picked = draw.integers(n, size=(min(step, RESAMPLES - start), n))
        means.append(difference[picked].sum(1) / size[picked].sum(1))
    resampled = np.concatenate(means) / math.log(2)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(difference.sum() / size.sum() / math.log(2)), float(low), float(high))


def mean_interval(values: Sequence[float]) -> Interval:
    """Student's interval of a mean over two or more independent values."""
    from scipy import stats

    mean, n = float(np.mean(values)), len(values)
    error = float(np.std(values, ddof=1)) / math.sqrt(n)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    return Interval(mean, mean - reach, mean + reach)


def welch_interval(a: Sequence[float], b: Sequence[float]) -> Interval:
    """Mean of b minus mean of a, by Welch (1947): their variances may differ."""
    from scipy import stats

    estimate = float(np.mean(b) - np.mean(a))
    if np.ptp(a) == np.ptp(b) == 0:
        return Interval(estimate, estimate, estimate)
    interval = stats.ttest_ind(b, a, equal_var=False).confidence_interval(LEVEL)
    return Interval(estimate, float(interval.low), float(interval.high))
