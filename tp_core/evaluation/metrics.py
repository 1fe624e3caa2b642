"""Compute metrics and name their results, after training and in reports."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tp_core.assembly.attribution import attribute_errors, component_error
from tp_core.config.components import ResolvedComponent
from tp_core.config.toml_writer import to_toml
from tp_core.interfaces.metrics import MetricView


def labels(resolved: Sequence[ResolvedComponent]) -> list[str]:
    """What each metric's result stands under: its name.

    Several of one name also say which options differ, as a command line would: `novelty,n=4`. Those
    that differ in nothing share a label, and a result.
    """
    counts = Counter(one.name for one in resolved)
    return [_told_apart(one, resolved) if counts[one.name] > 1 else one.name for one in resolved]


def _told_apart(one: ResolvedComponent, resolved: Sequence[ResolvedComponent]) -> str:
    options = one.spec.options
    others = [other.spec.options for other in resolved if other.name == one.name]
    differing = (key for key in options if any(o.get(key) != options[key] for o in others))
    return ",".join([one.name, *(f"{key}={_written(options[key])}" for key in differing)])


def _written(value: Any) -> str:
    return value if isinstance(value, str) else to_toml(value)


def measure(resolved: ResolvedComponent, metric: Any, view: MetricView) -> dict[str, Any]:
    """Compute a metric. Raises `TpError` with its name if it fails or returns no JSON."""
    with attribute_errors([(metric, resolved)]):
        result: dict[str, Any] = metric.compute(view)
    try:
        json.dumps(result, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise component_error(resolved, "returned data that is not JSON", error) from error
    return result
