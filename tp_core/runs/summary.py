"""Summarise a run from its files, in whatever state it is. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from tp_core.errors import TpError
from tp_core.files import json_or_empty
from tp_core.plain_data import finite
from tp_core.runs.directory import RunDir, created_at, is_locked
from tp_core.runs.jsonl import read_jsonl

Status = Literal["running", "finished", "interrupted", "diverged", "crashed"]


@dataclass(frozen=True)
class RunSummary:
    """One row of `tp runs list`; None for what the run's files don't say.

    `best_val_loss` is in nats per token, `best_val_bits_per_byte` belongs to the same evaluation.
    """

    id: str
    created: datetime
    status: Status
    step: int | None
    max_steps: int | None
    best_val_loss: float | None
    best_val_bits_per_byte: float | None
    parameters: int | None


def summarize(run: RunDir) -> RunSummary:
    """What the files of one run say about it, from `summary.json` once training has ended.

    Understood there are `status`, `step`, `parameters` and `best_val` (an object with `loss` and
    `bits_per_byte`); `max_steps` is the config's. Without it, `metrics.jsonl` gives the figures.
    """
    summary = json_or_empty(run.summary_path)
    status = _status(run, summary)
    step, best = _whole(summary.get("step")), _object(summary.get("best_val"))
    if status in ("running", "crashed"):  # an existing summary is from before a resume
        step, best = _from_metrics(run)
    train = _object(json_or_empty(run.config_path).get("train"))
    return RunSummary(
        id=run.id,
        created=created_at(run),
        status=status,
        step=step,
        max_steps=_whole(train.get("max_steps")),
        best_val_loss=finite(best.get("loss")),
        best_val_bits_per_byte=finite(best.get("bits_per_byte")),
        parameters=_whole(summary.get("parameters")),
    )


def _status(run: RunDir, summary: Mapping[str, Any]) -> Status:
    ended: tuple[Status, ...] = ("finished", "interrupted", "diverged")
    if is_locked(run):
        return "running"
    return next((status for status in ended if status == summary.get("status")), "crashed")


def _from_metrics(run: RunDir) -> tuple[int | None, Mapping[str, Any]]:
    try:
        rows = read_jsonl(run.metrics_path)
    except TpError:
        return None, {}
    steps = [step for row in rows if (step := _whole(row.get("step"))) is not None]
    evaluations = [
        (loss, row)
        for row in rows
        if row.get("split") == "val" and (loss := finite(row.get("loss"))) is not None
    ]
    best = min(evaluations, key=lambda pair: pair[0], default=(0.0, {}))[1]
    return max(steps, default=None), best


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
