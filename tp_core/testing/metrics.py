"""Checks of report metrics."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tp_core.interfaces.metrics import Headline
from tp_core.testing.harness import Harness
from tp_core.testing.metric_views import usual, views
from tp_core.testing.registry import harness_check
from tp_core.testing.results import PASSED, Finding, NotApplicable, Worst

# Sums come in another order when samples do.
_TOLERANCE = 1e-9


def trace(harness: Harness) -> Mapping[str, str]:
    """What a metric says of every view, as text."""
    metric = harness.build_component()
    return {name: repr(metric.compute(view)) for name, view in views().items()}


@harness_check("metric")
def computes(harness: Harness) -> Finding:
    """Of any view, an empty one too, it makes strict JSON; asked twice, the same."""
    metric = harness.build_component()
    for name, view in views().items():
        before = copy.deepcopy(view)
        result = metric.compute(view)
        try:
            text = json.dumps(result, allow_nan=False)
        except (TypeError, ValueError) as error:
            return Finding(fault=f"{name}: the result is no strict JSON: {error}")
        if not isinstance(result, dict):
            return Finding(fault=f"{name}: the result is {type(result).__name__}, not a dict")
        if json.dumps(metric.compute(view), allow_nan=False) != text:
            return Finding(fault=f"{name}: asked again, it says something else")
        if repr(before) != repr(view):
            return Finding(fault=f"{name}: it changes the view it is given")
    return PASSED


@harness_check("metric")
def headlines(harness: Harness) -> Finding:
    """Every headline value is a number of a usual view, and a number or none of any other."""
    metric = harness.build_component()
    declared = getattr(type(metric), "headline", None)
    if not declared or not all(isinstance(one, Headline) for one in declared):
        return Finding(fault="its class has no `headline`: a tuple of tp_core.interfaces.Headline")
    for headline in declared:
        if headline.better not in ("lower", "higher", "neither"):
            return Finding(fault=f"headline '{headline.key}': better is {headline.better!r}")
        for name, view in views().items():
            value = _lookup(metric.compute(view), headline.key)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number and (value is not None or name == "a usual view"):
                return Finding(fault=f"{name}: headline '{headline.key}' is {value!r}, no number")
    return PASSED


@harness_check("metric")
def sample_means(harness: Harness) -> Finding:
    """What `per_sample` says is one value for each sample, and the result holds their mean."""
    metric = harness.build_component()
    if not hasattr(metric, "per_sample"):
        raise NotApplicable("it has no per_sample()")
    worst = Worst(_TOLERANCE)
    for name, view in views().items():
        result, values = metric.compute(view), metric.per_sample(view)
        for key, value in values.items():
            array, found = np.asarray(value, np.float64), _lookup(result, key)
            if array.shape != (len(view.samples),):
                return Finding(
                    fault=f"{name}: '{key}' has values of shape {array.shape} for "
                    f"{len(view.samples)} samples"
                )
            counted = array[~np.isnan(array)]
            if (found is None) != (len(counted) == 0):
                return Finding(
                    fault=f"{name}: '{key}' of {len(counted)} samples is {found!r} in the result"
                )
            if len(counted):
                worst.add(_apart(found, float(counted.mean())), f"{name}: '{key}' and its mean")
    return worst.finding()


@harness_check("metric")
def samples_declared(harness: Harness) -> Finding:
    """A metric that says otherwise of other samples has `of_samples = True` on its class."""
    metric = harness.build_component()
    if getattr(type(metric), "of_samples", False):
        return PASSED
    view = usual()
    texts = ["something else", "something else", "the moon"]
    other = replace(view, samples=texts, stops=["end", "length", "end"])
    if metric.compute(view) != metric.compute(other):
        return Finding(fault="other samples, another result, and no `of_samples = True`")
    return PASSED


@harness_check("metric")
def sample_order(harness: Harness) -> Finding:
    """Which sample came first makes no difference, except to whose value is whose."""
    metric = harness.build_component()
    view = usual()
    order = np.random.default_rng(0).permutation(len(view.samples)).tolist()
    shuffled = replace(
        view,
        samples=[view.samples[index] for index in order],
        stops=[view.stops[index] for index in order],
    )
    worst = Worst(_TOLERANCE)
    was, now = (dict(_numbers(metric.compute(one))) for one in (view, shuffled))
    if was.keys() != now.keys():
        return Finding(fault="samples in another order give other keys")
    for key, value in was.items():
        worst.add(_apart(value, now[key]), f"'{key}', with samples in another order")
    if hasattr(metric, "per_sample"):
        before, after = metric.per_sample(view), metric.per_sample(shuffled)
        for key, values in before.items():
            moved = np.asarray(values, np.float64)[order]
            if not np.allclose(moved, after[key], rtol=_TOLERANCE, atol=0, equal_nan=True):
                return Finding(fault=f"per_sample '{key}': values don't move with their samples")
    return worst.finding()


def _apart(one: float, other: float) -> float:
    """How far two numbers are from each other, relative to the larger one."""
    scale = max(abs(one), abs(other))
    return abs(one - other) / scale if scale else 0.0


def _numbers(result: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """Every number in a result by its dotted key; which texts are quoted may depend on order."""
    if isinstance(result, Mapping):
        for name, value in result.items():
            yield from _numbers(value, f"{key}.{name}" if key else str(name))
    elif isinstance(result, (list, tuple)):
        for index, value in enumerate(result):
            yield from _numbers(value, f"{key}.{index}")
    elif isinstance(result, (int, float)):
        yield key, result


def _lookup(result: Any, key: str) -> Any:
    """The value at a dotted key; None where there is none."""
    for part in key.split("."):
        result = result.get(part) if isinstance(result, Mapping) else None
    return result
