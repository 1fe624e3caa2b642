"""Whether one model finds the validation lines likelier than another, and how sure that is.

Two checkpoints are compared line by line: what the lines have in common (some are hard for any
model) cancels in the difference. The interval is a bootstrap over lines. It says what other lines
of the same kind might have shown; what another seed might have, only runs with other seeds can say,
and with those the interval is Student's over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tp_core.compare.evaluated_run import EvaluatedRun
from tp_core.compare.seed_groups import Group
from tp_core.interfaces.metrics import SplitLosses
from tp_core.rng import generator
from tp_core.statistics import Interval, ratio_interval, student_interval, welch_interval


@dataclass(frozen=True)
class LikelihoodDifference:
    """B against A in bits per byte: B minus A, so that below zero B is better.

    `by` is what was resampled: `lines`, or `seeds`, paired by seed or not. Without an interval,
    `refusal` says why there is none.
    """

    a: str
    b: str
    difference: Interval | None
    by: str
    refusal: str = ""


def compare_groups(groups: Sequence[Group]) -> list[LikelihoodDifference]:
    """Every group against the first; within one group, every run against its first."""
    if len(groups) == 1:
        first, *others = groups[0].runs
        return [_by_lines(first, other) for other in others]
    return [_by_config(groups[0], other) for other in groups[1:]]


def _by_config(a: Group, b: Group) -> LikelihoodDifference:
    if len(a.runs) == 1 and len(b.runs) == 1:
        return _by_lines(a.runs[0], b.runs[0])
    for run in (*a.runs, *b.runs):
        if refusal := why_not(a.runs[0], run):
            return LikelihoodDifference(a.name, b.name, None, "seeds", refusal)
    if min(len(a.replicates), len(b.replicates)) < 2:
        alone = a if len(a.replicates) == 1 else b
        return LikelihoodDifference(
            a.name,
            b.name,
            None,
            "seeds",
            f"{alone.name} has one seed: train it with the seeds of the other",
        )
    of_a, of_b = ({s.seed: s.bits_per_byte or 0.0 for s in g.replicates} for g in (a, b))
    if set(of_a) == set(of_b):
        paired = [of_b[seed] - of_a[seed] for seed in of_a]
        return LikelihoodDifference(a.name, b.name, student_interval(paired), "seeds, paired")
    values = (list(of_a.values()), list(of_b.values()))
    return LikelihoodDifference(a.name, b.name, welch_interval(*values), "seeds")


def _by_lines(a: EvaluatedRun, b: EvaluatedRun) -> LikelihoodDifference:
    refusal = why_not(a, b)
    if refusal or a.losses is None or b.losses is None:
        return LikelihoodDifference(a.id, b.id, None, "lines", refusal)
    if len(a.losses.nll) < 2:
        why = f"{a.id} and {b.id} have a single validation line, which says nothing of others"
        return LikelihoodDifference(a.id, b.id, None, "lines", why)
    return LikelihoodDifference(a.id, b.id, paired_difference(a.losses, b.losses), "lines")


def why_not(a: EvaluatedRun, b: EvaluatedRun) -> str:
    """Why the likelihoods of two runs say nothing about each other; empty where they do."""
    for run in (a, b):
        if run.without:
            return f"{run.id} can't be scored: {run.without}"
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


def _data(run: EvaluatedRun) -> Mapping[str, Any]:
    return run.provenance.get("data") or {}


def paired_difference(a: SplitLosses, b: SplitLosses) -> Interval:
    """Bits per byte of b minus those of a, over the same two or more lines in the same order."""
    bits = (b.nll - a.nll) / math.log(2)
    return ratio_interval(bits, a.bytes.astype(np.float64), generator(0, "compare", "lines"))
