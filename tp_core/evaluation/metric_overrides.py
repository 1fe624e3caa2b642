"""Other metrics than a run's: as written on a command line. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tp_core.config.components import resolve_written
from tp_core.config.overrides import read_component_options
from tp_core.config.plan import Plan
from tp_core.errors import TpError


def with_metrics(plan: Plan, written: Sequence[str]) -> Plan:
    """The plan with the metrics that are `written` (`likelihood,novelty,n=4`) in place of its own.

    Raises `TpError` where something is wrong with one.
    """
    parsed = [(one, f"--metrics {text}") for text in written for one in _parsed(text)]
    entries = [
        (read_component_options("metric", *one, plan.catalogue), place) for one, place in parsed
    ]
    return plan.with_components("metric", resolve_written(plan.catalogue, "metric", entries))


def _parsed(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The metrics in NAME,option=value,NAME,...: name and options, lists in brackets whole."""
    metric, options = "", dict[str, str]()
    for part in re.split(r",(?![^\[{]*[\]}])", text):
        name, equals, value = (one.strip() for one in part.partition("="))
        if equals and metric:
            options[name] = value
        elif equals or not name:
            raise TpError(f"--metrics {text}: write it as NAME,option=value,NAME,...")
        else:
            if metric:
                yield metric, options
            metric, options = name, {}
    yield metric, options
