"""Read the loss curves in a run's `metrics.jsonl`, in whatever state it is. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from tp_core.errors import TpError
from tp_core.plain_data import finite
from tp_core.runs.directory import RunDir
from tp_core.runs.jsonl import read_jsonl
from tp_core.runs.summary import Status, summarize

Axis = Literal["steps", "tokens", "time"]
Figure = Literal["loss", "bits_per_byte"]

AXIS_LABELS: Mapping[Axis, str] = {
    "steps": "optimizer steps",
    "tokens": "training tokens",
    "time": "training time (s)",
}
FIGURE_LABELS: Mapping[Figure, str] = {
    "loss": "loss (nats per token)",
    "bits_per_byte": "bits per byte",
}


@dataclass(frozen=True)
class Curve:
    """Points of one split, in order of steps: `x` in the axis' unit, `y` in the figure's."""

    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()


@dataclass(frozen=True)
class RunCurves:
    """A run's curves: of its training batches (each step, with dropout), and of its evaluations on
    a fixed part of the training lines and on the validation lines. `best` is the step with the
    lowest validation loss, and its point."""

    id: str
    status: Status
    batch: Curve
    train: Curve
    val: Curve
    best: tuple[int, float, float] | None

    @property
    def title(self) -> str:
        """The run's id, and its status unless it is finished."""
        return self.id if self.status == "finished" else f"{self.id} ({self.status})"


def read_curves(run: RunDir, axis: Axis = "steps", figure: Figure = "loss") -> RunCurves:
    """Raises `TpError` for a run without a single loss, and for a damaged line, which it names."""
    lines = read_jsonl(run.metrics_path) if run.metrics_path.exists() else []
    lines = sorted(lines, key=lambda line: finite(line.get("step")) or 0.0)
    places = [*_places(run, lines, axis)]
    curves: dict[str, Curve] = {}
    for split in ("batch", "train", "val"):
        points = [
            (place, y)
            for place, line in zip(places, lines, strict=True)
            if line.get("split") == split and (y := finite(line.get(figure))) is not None
        ]
        curves[split] = Curve(tuple(x for x, _ in points), tuple(y for _, y in points))
    status = summarize(run).status
    if not any(curve.x for curve in curves.values()):
        hint = (
            "wait for its first evaluation" if status == "running" else "there is nothing to plot"
        )
        raise TpError(f"run '{run.id}' ({status}) has no loss in metrics.jsonl: {hint}")
    best = min(
        (
            (loss, int(line["step"]), place, y)
            for place, line in zip(places, lines, strict=True)
            if line.get("split") == "val"
            and (loss := finite(line.get("loss"))) is not None
            and (y := finite(line.get(figure))) is not None
        ),
        default=None,
    )
    return RunCurves(run.id, status, **curves, best=best[1:] if best else None)


def smooth(curve: Curve, width: int) -> Curve:
    """Each point the mean of itself and up to `width` − 1 before it."""
    sums = [0.0, *accumulate(curve.y)]
    means = (
        (sums[end] - sums[start]) / (end - start)
        for end in range(1, len(sums))
        for start in (max(0, end - width),)
    )
    return Curve(curve.x, tuple(means))


def one_tokenizer(runs: Sequence[RunDir]) -> bool:
    """Whether all the runs use the same tokenizer, so that losses per token are comparable."""
    return len({run.tokenizer_path.read_bytes() for run in runs if run.tokenizer_path.exists()}) < 2


def _places(run: RunDir, lines: Sequence[Mapping[str, Any]], axis: Axis) -> Iterator[float]:
    """Where each line stands on the axis; time is what the steps before it took, summed."""
    seconds = 0.0
    for line in lines:
        if axis == "time" and line.get("split") == "batch":
            took = finite((line.get("perf") or {}).get("seconds"))
            if took is None:
                raise TpError(f"run '{run.id}' has steps without a duration: use --x steps")
            seconds += took
        place = seconds if axis == "time" else finite(line.get("step" if axis == "steps" else axis))
        yield 0.0 if place is None else place
