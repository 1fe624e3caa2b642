"""Plain data: how an entry is found in it, and how one setting is laid over another. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def entry(node: Any, part: str) -> Any:
    """The entry of a table or a list; None where there is none."""
    if isinstance(node, (list, tuple)):
        return node[int(part)] if part in map(str, range(len(node))) else None
    return node.get(part) if isinstance(node, Mapping) else None


def merge(base: Any, over: Any) -> Any:
    """Lay one setting of a component, or a table of them, over another.

    The same name, or none, merges the options; another name replaces the table.
    """
    if isinstance(over, str):
        return base if isinstance(base, Mapping) and base.get("name") == over else over
    if not isinstance(over, Mapping):
        return over
    if isinstance(base, str):
        base = {"name": base}
    if not isinstance(base, Mapping) or over.get("name", base.get("name")) != base.get("name"):
        return over
    laid = {name: merge(base[name], v) if name in base else v for name, v in over.items()}
    return {**base, **laid}
