"""Other metrics than a run's: as written on a command line. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from tp_core.config.components import resolve_written
from tp_core.config.overrides import RawText
from tp_core.config.plan import Plan
from tp_core.errors import TpError


def with_metrics(plan: Plan, written: Sequence[str]) -> Plan:
    """The plan with the metrics that are `written` (`likelihood,novelty,n=4`) in place of its own.

    Raises `TpError` where something is wrong with one.
    """
    entries = [(entry, f"--metrics {text}") for text in written for entry in _parsed(text)]
    return plan.with_components("metric", resolve_written(plan.catalogue, "metric", entries))


def _parsed(text: str) -> Iterator[dict[str, Any]]:
    """The metrics in NAME,option=value,NAME,...: values still text, lists in brackets whole."""
    entry: dict[str, Any] = {}
    for part in re.split(r",(?![^\[{]*[\]}])", text):
        name, equals, value = (one.strip() for one in part.partition("="))
        if equals and entry:
            entry[name] = RawText(value)
        elif equals or not name:
            raise TpError(f"--metrics {text}: write it as NAME,option=value,NAME,...")
        else:
            if entry:
                yield entry
            entry = {"name": name}
    yield entry
