"""Plain data looked up, walked through and shown."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tp_core.plain_data import at, brief, finite, leaves

DATA: dict[str, Any] = {"a": {"b": [1, {"c": None}]}, "d": [2, 3], "e": {}, "f": "x"}


@pytest.mark.parametrize(
    ("key", "value"),
    [("a.b.1", {"c": None}), ("a.b.0", 1), ("a.b.1.c", None), ("f", "x"), ("e", {})],
)
def test_what_stands_at_a_key(key: str, value: Any) -> None:
    assert at(DATA, key, "default") == value


@pytest.mark.parametrize("key", ["", "g", "a.b.2", "a.b.-1", "a.b.c", "f.0", "a..b"])
def test_nothing_stands_there(key: str) -> None:
    assert at(DATA, key) is None
    assert at(DATA, key, 5) == 5


def test_leaves() -> None:
    assert dict(leaves(DATA)) == {"a.b": [1, {"c": None}], "d": [2, 3], "f": "x"}
    every = {"a.b.0": 1, "a.b.1.c": None, "d.0": 2, "d.1": 3, "f": "x"}
    assert dict(leaves(DATA, opened=lambda items: True)) == every
    mixed = dict(leaves(DATA, opened=lambda items: {"c": None} in items))
    assert mixed == {"a.b.0": 1, "a.b.1.c": None, "d": [2, 3], "f": "x"}


def test_only_finite_numbers_are_finite() -> None:
    assert [finite(one) for one in (1, 2.5)] == [1.0, 2.5]
    assert {finite(one) for one in (None, True, "1", math.nan, math.inf)} == {None}


def test_a_few_letters() -> None:
    written = {"n": {"name": "softmax", "heads": 2}, "l": [True, None], "x": 0.5}
    assert brief(written) == "{n=softmax l=true,null x=0.5}"
