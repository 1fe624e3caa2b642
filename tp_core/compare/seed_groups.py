"""Runs that differ in nothing but the seed, taken together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tp_core.compare.evaluated_run import EvaluatedRun
from tp_core.statistics import Interval, student_interval


@dataclass(frozen=True)
class Group:
    """Runs whose configs differ in nothing but the seed."""

    runs: tuple[EvaluatedRun, ...]

    @property
    def name(self) -> str:
        return "+".join(run.id for run in self.runs)

    @property
    def replicates(self) -> tuple[EvaluatedRun, ...]:
        """One run of each seed: the same seed again is the same run again, not another draw."""
        return tuple({run.seed: run for run in reversed(self.runs)}.values())[::-1]

    @property
    def bits_per_byte(self) -> Interval | None:
        """The mean over seeds; None for less than two, or where a run has no scores."""
        values = [run.bits_per_byte for run in self.replicates]
        known = [value for value in values if value is not None]
        return student_interval(known) if 1 < len(known) == len(values) else None


def group(runs: Sequence[EvaluatedRun]) -> list[Group]:
    """The runs by config, in the order of their first."""
    found: dict[str, list[EvaluatedRun]] = {}
    for run in runs:
        train = {key: value for key, value in run.config["train"].items() if key != "seed"}
        found.setdefault(json.dumps({**run.config, "train": train}, sort_keys=True), []).append(run)
    return [Group(tuple(members)) for members in found.values()]
