"""Asking metrics, at the end of a training and in a report: what they are called, what they say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tp_core.config.resolve import Chosen
from tp_core.interfaces.blame import blame
from tp_core.interfaces.build import component_error
from tp_core.interfaces.report import ReportView


def labels(chosen: Sequence[Chosen]) -> list[str]:
    """What each metric's result stands under: its name.

    Several of one name also say which options differ, as a command line would: `novelty,n=4`. Those
    that differ in nothing share a label, and a result.
    """
    counts = Counter(one.name for one in chosen)
    return [_told_apart(one, chosen) if counts[one.name] > 1 else one.name for one in chosen]


def _told_apart(one: Chosen, chosen: Sequence[Chosen]) -> str:
    options = one.spec.options
    others = [other.spec.options for other in chosen if other.name == one.name]
    differing = (key for key in options if any(o.get(key) != options[key] for o in others))
    return ",".join([one.name, *(f"{key}={_plain(options[key])}" for key in differing)])


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def measure(chosen: Chosen, metric: Any, view: ReportView) -> dict[str, Any]:
    """What a metric says of a view. Raises `TpError` naming it where it fails or gives no JSON."""
    with blame([(metric, chosen)]):
        result: dict[str, Any] = metric.compute(view)
    try:
        json.dumps(result, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise component_error(chosen, "returned what is no JSON", error) from error
    return result
