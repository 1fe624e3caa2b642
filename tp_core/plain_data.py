"""Nested plain data (what JSON and TOML hold): looked up, walked through, shown. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


def at(data: Any, key: str, default: Any = None) -> Any:
    """The value at a dotted key, in which a number is a place in a list."""
    for part in key.split("."):
        if isinstance(data, Mapping) and part in data:
            data = data[part]
        elif isinstance(data, list) and part.isdecimal() and int(part) < len(data):
            data = data[int(part)]
        else:
            return default
    return data


def leaves(
    data: Any, key: str = "", *, opened: Callable[[Sequence[Any]], bool] = lambda items: False
) -> Iterator[tuple[str, Any]]:
    """Every value in nested mappings by its dotted key.

    A list is one value, or its items are by their numbers where it is `opened`.
    """
    if isinstance(data, Mapping):
        items: Any = data.items()
    elif isinstance(data, list) and opened(data):
        items = enumerate(data)
    else:
        yield key, data
        return
    for name, item in items:
        yield from leaves(item, f"{key}.{name}" if key else str(name), opened=opened)


def finite(value: object) -> float | None:
    """A finite number as float; None for whatever else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def name_of(value: Any) -> Any:
    """The name of a component in a config; any other value as it is."""
    return value["name"] if isinstance(value, Mapping) and "name" in value else value


def brief(value: Any) -> str:
    """A value of a config in a few letters: a component by its name."""
    value = name_of(value)
    if isinstance(value, Mapping):
        return "{" + " ".join(f"{key}={brief(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return ",".join(map(brief, value))
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
