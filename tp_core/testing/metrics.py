"""Checks of report metrics."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tp_core.interfaces.report import Headline, ReportView, SplitScores
from tp_core.testing.registry import scene_check
from tp_core.testing.results import PASSED, Finding
from tp_core.testing.scenes import Scene


def _scores(n: int) -> SplitScores:
    tokens = np.arange(3, 3 + n, dtype=np.int64)
    return SplitScores(nll=1.5 * tokens.astype(np.float64), tokens=tokens, bytes=4 * tokens)


def _views() -> dict[str, ReportView]:
    none = _scores(0)
    return {
        "a usual view": ReportView(
            {"train": _scores(5), "val": _scores(3)},
            ["a short phrase", "another, longer phrase", "a short phrase", "", "naïve π"],
        ),
        "one phrase": ReportView({"train": _scores(1), "val": _scores(1)}, ["one phrase"]),
        "no phrase": ReportView({"train": none, "val": none}, []),
        "nothing at all": ReportView(),
    }


def trace(scene: Scene) -> Mapping[str, str]:
    """What a metric says of every view, as text."""
    metric = scene.build_component()
    return {name: repr(metric.compute(view)) for name, view in _views().items()}


@scene_check("metric")
def computes(scene: Scene) -> Finding:
    """Of any view, an empty one too, it makes strict JSON; asked twice, the same."""
    metric = scene.build_component()
    for name, view in _views().items():
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


@scene_check("metric")
def headlines(scene: Scene) -> Finding:
    """Every headline value is a number of a usual view, and a number or null of any other."""
    metric = scene.build_component()
    declared = getattr(type(metric), "headline", None)
    if not declared or not all(isinstance(one, Headline) for one in declared):
        return Finding(fault="its class has no `headline`: a tuple of tp_core.interfaces.Headline")
    for headline in declared:
        if headline.better not in ("lower", "higher", "neither"):
            return Finding(fault=f"headline '{headline.key}': better is {headline.better!r}")
        value = _lookup(metric.compute(_views()["a usual view"]), headline.key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return Finding(
                fault=f"headline '{headline.key}' is {value!r} of a usual view, not a number"
            )
    return PASSED


def _lookup(result: Any, key: str) -> Any:
    """The value at a dotted key, or a word that it isn't there."""
    for part in key.split("."):
        if not isinstance(result, Mapping) or part not in result:
            return "missing"
        result = result[part]
    return result
