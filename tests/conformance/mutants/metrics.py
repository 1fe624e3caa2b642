"""Broken metrics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tp_core.interfaces import Headline, MetricView
from tp_core.testing.minimal import PlainMetric


class NanOfNothing(PlainMetric):
    def compute(self, view: MetricView) -> dict[str, Any]:
        return {"mean_length": super().compute(view)["mean_length"] or math.nan}


class HeadlineOfNothing(PlainMetric):
    headline = (Headline("length.mean", "character", "neither"),)


class HeadlineOfWords(PlainMetric):
    """Without samples, its headline says so in words."""

    def compute(self, view: MetricView) -> dict[str, Any]:
        return super().compute(view) if view.samples else {"mean_length": "none"}


class MeanOfOthers(PlainMetric):
    """Gives each sample's bytes for a mean of characters."""

    def per_sample(self, view: MetricView) -> dict[str, NDArray[np.float64]]:
        return {"mean_length": np.array([float(len(text.encode())) for text in view.samples])}


class OneShort(PlainMetric):
    """Leaves empty samples out instead of giving them NaN."""

    def compute(self, view: MetricView) -> dict[str, Any]:
        lengths = self.per_sample(view)["mean_length"]
        return {"mean_length": float(lengths.mean()) if len(lengths) else None}

    def per_sample(self, view: MetricView) -> dict[str, NDArray[np.float64]]:
        return {"mean_length": np.array([float(len(text)) for text in view.samples if text])}


class Undeclared(PlainMetric):
    of_samples = False


class FirstCounts(PlainMetric):
    """Looks at the first samples only."""

    def compute(self, view: MetricView) -> dict[str, Any]:
        first = view.samples[:4]
        return {"mean_length": math.fsum(map(len, first)) / len(first) if first else None}


class UnmovedValues(PlainMetric):
    """Sorts what belongs to samples."""

    def per_sample(self, view: MetricView) -> dict[str, NDArray[np.float64]]:
        return {"mean_length": np.sort(super().per_sample(view)["mean_length"])}
