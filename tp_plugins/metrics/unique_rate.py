"""How often the model repeats itself: distinct samples over samples."""

from __future__ import annotations

from typing import Any

from tp_core.interfaces import Headline, MetricView


class UniqueRate:
    of_samples = True
    headline = (Headline("unique_rate", "share", "higher"),)

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """The rate, and what it is out of: it falls as more samples are drawn."""
        n = len(view.samples)
        return {"samples": n, "unique_rate": len(set(view.samples)) / n if n else None}
