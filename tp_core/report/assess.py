"""Asking the metrics: of the model, or of samples and of as many real phrases beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tp_core.assembly.attribution import attribute_errors
from tp_core.config.components import ResolvedComponent
from tp_core.errors import TpError
from tp_core.evaluation.metrics import labels, measure
from tp_core.interfaces.metrics import Headline, MetricView
from tp_core.plain_data import leaves
from tp_core.report.reference_phrases import references
from tp_core.rng import generator
from tp_core.statistics import Interval, mean_interval, subsampling_intervals


@dataclass(frozen=True, eq=False)
class Reading:
    """What a metric says of one set of phrases: `n` of them, and intervals by dotted key."""

    n: int
    result: Mapping[str, Any]
    intervals: Mapping[str, Interval]


@dataclass(frozen=True, eq=False)
class Assessment:
    """One metric's results, under its label.

    `samples` are of what was generated, `held_out` and `training` of real phrases; a metric whose
    result doesn't depend on samples has `model` alone.
    """

    label: str
    resolved: ResolvedComponent
    headline: tuple[Headline, ...]
    readings: Mapping[str, Reading]


def assess(
    metrics: Sequence[tuple[ResolvedComponent, Any]], view: MetricView, seed: int
) -> list[Assessment]:
    """Every metric's results, those of one label once."""
    compared = {"samples": view, **references(view, seed)}
    found: dict[str, Assessment] = {}
    names = labels([resolved for resolved, _ in metrics])
    for label, (resolved, metric) in zip(names, metrics, strict=True):
        if label in found:
            continue
        if getattr(type(metric), "of_samples", False):
            readings = {
                name: _read(resolved, metric, one, (seed, label, name))
                for name, one in compared.items()
            }
        else:
            readings = {"model": Reading(0, measure(resolved, metric, view), {})}
        found[label] = Assessment(label, resolved, tuple(type(metric).headline), readings)
    return list(found.values())


def numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """The fractional numbers in a result by dotted key; counts, which grow with n, left out."""
    return {key: value for key, value in leaves(result) if isinstance(value, float)}


def _read(
    resolved: ResolvedComponent, metric: Any, view: MetricView, where: tuple[int, str, str]
) -> Reading:
    seed, *purpose = where
    n = len(view.samples)
    result = measure(resolved, metric, view)
    values = _values(resolved, metric, view)
    intervals = {}
    for key, one in values.items():
        if (
            interval := mean_interval(one, generator(seed, "bootstrap", *purpose, key))
        ) is not None:
            intervals[key] = interval
    headline = {one.key: one for one in type(metric).headline}
    if not headline.keys() <= values.keys():
        others = {k: v for k, v in numbers(result).items() if k not in values}
        rng = generator(seed, "subsampling", *purpose)

        def compute(indices: NDArray[np.int64]) -> dict[str, float]:
            return numbers(measure(resolved, metric, _subset(view, indices)))

        found = subsampling_intervals(others, compute, n, rng)
        intervals |= {key: _clipped(one, headline.get(key)) for key, one in found.items()}
    return Reading(n, result, intervals)


def _values(
    resolved: ResolvedComponent, metric: Any, view: MetricView
) -> dict[str, NDArray[np.float64]]:
    """What the metric says of each sample, by key. Raises `TpError` where it doesn't fit them."""
    if not hasattr(metric, "per_sample"):
        return {}
    with attribute_errors([(metric, resolved)]):
        values = {key: np.asarray(v, np.float64) for key, v in metric.per_sample(view).items()}
    for key, one in values.items():
        if one.shape != (len(view.samples),):
            raise TpError(
                f"metric '{resolved.name}': per_sample gave values of shape {one.shape} for "
                f"'{key}' of {len(view.samples)} samples"
            )
    return values


def _subset(view: MetricView, indices: NDArray[np.int64]) -> MetricView:
    resolved = indices.tolist()
    return replace(
        view,
        samples=[view.samples[i] for i in resolved],
        stops=[view.stops[i] for i in resolved],
    )


def _clipped(interval: Interval, headline: Headline | None) -> Interval:
    """A share lies between 0 and 1, and so does its interval."""
    if headline is None or headline.unit != "share":
        return interval
    return replace(interval, low=max(interval.low, 0.0), high=min(interval.high, 1.0))
