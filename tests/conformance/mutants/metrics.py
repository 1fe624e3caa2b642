"""Broken metrics, and the correct one they are cut from: a mean of one value per sample."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tp_core.interfaces import Headline, MetricView


class MeanLength:
    """The mean length of the samples. This one is right."""

    of_samples = True
    headline = (Headline("mean_length", "character", "neither"),)

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        n = len(view.samples)
        return {"mean_length": math.fsum(map(len, view.samples)) / n if n else None}

    def per_sample(self, view: MetricView) -> dict[str, NDArray[np.float64]]:
        return {"mean_length": np.array([float(len(text)) for text in view.samples])}


class NanOfNothing(MeanLength):
    def compute(self, view: MetricView) -> dict[str, Any]:
        return {"mean_length": super().compute(view)["mean_length"] or math.nan}


class HeadlineOfNothing(MeanLength):
    headline = (Headline("length.mean", "character", "neither"),)


class HeadlineOfWords(MeanLength):
    """Without samples, its headline says so in words."""

    def compute(self, view: MetricView) -> dict[str, Any]:
        return super().compute(view) if view.samples else {"mean_length": "none"}


class MeanOfOthers(MeanLength):
    """Gives each sample's bytes for a mean of characters."""

    def per_sample(self, view: MetricView) -> dict[str, NDArray[np.float64]]:
        return {"mean_length": np.array([float(len(text.encode())) for text in view.samples])}


class OneShort(MeanLength):
    """Leaves empty samples out instead of giving them NaN."""

    def compute(self, view: MetricView) -> dict[str, Any]:
        lengths = self.per_sample(view)["mean_length"]
        return {"mean_length": float(lengths.mean()) if len(lengths) else None}

    def per_sample(self, view: MetricView) -> dict[str, NDArray[np.float64]]:
        return {"mean_length": np.array([float(len(text)) for text in view.samples if text])}


class Undeclared(MeanLength):
    of_samples = False


class FirstCounts(MeanLength):
    """Looks at the first samples only."""

    def compute(self, view: MetricView) -> dict[str, Any]:
        first = view.samples[:4]
        return {"mean_length": math.fsum(map(len, first)) / len(first) if first else None}


class UnmovedValues(MeanLength):
    """Sorts what belongs to samples."""

    def per_sample(self, view: MetricView) -> dict[str, NDArray[np.float64]]:
        return {"mean_length": np.sort(super().per_sample(view)["mean_length"])}
