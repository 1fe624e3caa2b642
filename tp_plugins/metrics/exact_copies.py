"""Samples that are phrases of the data, character for character.

    rate(split) = samples that equal some phrase of the split / samples

A copy of a training phrase may be memorised, or so short or common that anyone would say it; a copy
of a validation phrase is one the model was never shown. What real phrases repeat of each other
tells how much of it chance explains.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tp_core.interfaces import Headline, MetricView
from tp_plugins.metrics.shared.values import PerSample, means


class ExactCopies:
    of_samples = True
    headline = (Headline("train", "share", "lower"), Headline("val", "share", "neither"))

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """Null for a split without phrases."""
        return {"samples": len(view.samples), **means(self.per_sample(view))}

    def per_sample(self, view: MetricView) -> PerSample:
        """1 for a copy, 0 for none."""
        result = {}
        for split in ("train", "val"):
            texts = view.texts.get(split, ())
            # Walks through a million phrases without making a set of them.
            copied = set(view.samples).intersection(texts)
            values = np.array([float(text in copied) for text in view.samples])
            result[split] = values if texts else np.full(len(view.samples), np.nan)
        return result
