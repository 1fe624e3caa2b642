"""Where validation was best, and how long ago that is.

    best step = argmin over evaluations of the validation loss;   steps since = last step − it

What training longer cost: `rise` is the last evaluation minus the best one, in bits per byte, and
the same for the training subset, which goes on falling where the model overfits. Early stopping
rests on these (Prechelt 1998, Early stopping - but when?).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tp_core.interfaces import Headline, MetricView
from tp_plugins.metrics.shared.values import finite

FIGURES = ("loss", "bits_per_byte")


class BestStep:
    headline = (
        Headline("best_step", "step", "neither"),
        Headline("steps_since", "step", "lower"),
    )

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """The first of equally good steps; null without a finite validation loss."""
        by_split: dict[str, dict[int, Mapping[str, Any]]] = {"train": {}, "val": {}}
        for line in view.evaluations:
            if line.get("split") in by_split and _number(line.get("step")) is not None:
                by_split[line["split"]][line["step"]] = line
        losses = {step: _number(line.get("loss")) for step, line in by_split["val"].items()}
        known = {step: loss for step, loss in losses.items() if loss is not None}
        best = min(known, key=lambda step: (known[step], step), default=None)
        last = max(known, default=None)
        at: dict[str, Any] = {
            name: {split: _figures(lines, step) for split, lines in by_split.items()}
            for name, step in (("best", best), ("last", last))
        }
        rise = {
            split: _difference(at["last"][split], at["best"][split], "bits_per_byte")
            for split in by_split
        }
        return {
            "evaluations": len(known),
            "best_step": best,
            "last_step": last,
            "steps_since": last - best if best is not None and last is not None else None,
            **at,
            "rise": rise,
        }


def _number(value: Any) -> float | None:
    """`value` where it is a finite number: a line of a diverged run holds null or text."""
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if plain and math.isfinite(value) else None


def _figures(lines: Mapping[int, Mapping[str, Any]], step: int | None) -> dict[str, float | None]:
    line = lines.get(step, {}) if step is not None else {}
    return {name: _number(line.get(name)) for name in FIGURES}


def _difference(
    one: Mapping[str, float | None], other: Mapping[str, float | None], key: str
) -> float | None:
    a, b = one[key], other[key]
    return finite(a - b) if a is not None and b is not None else None
