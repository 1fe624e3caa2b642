"""Values as TOML writes them, read again."""

from __future__ import annotations

from datetime import date
from pathlib import PurePath
from typing import Any

import pytest
import tomli

from tp_core.config.toml_writer import to_toml
from tp_core.kernel.options import Spec


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (3, "3"),
        (1e22, "1e+22"),
        ('a"b\\', r'"a\"b\\"'),
        ([1, "x"], '[1, "x"]'),
        ((), "[]"),
        ("\x7f", '"\\u007f"'),
        ({}, "{}"),
        ({"a b": 1, "c": None}, '{ "a b" = 1 }'),
        (date(2026, 1, 2), "2026-01-02"),
        (PurePath("a/b"), '"a/b"'),
        ({"k": [False]}, "{ k = [false] }"),
        (Spec("rmsnorm"), '"rmsnorm"'),
        (Spec("rmsnorm", {"eps": 0.1}), '{ name = "rmsnorm", eps = 0.1 }'),
    ],
)
def test_to_tomls(value: Any, text: str) -> None:
    assert to_toml(value) == text
    assert "v" in tomli.loads(f"v = {text}")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (1 << 70, "a number of 71 bits"),
        ("\udc80", r'"\udc80"'),
        ({1: object}, "{ 1 = <class 'object'> }"),
    ],
)
def test_what_toml_cannot_write_is_still_shown(value: Any, text: str) -> None:
    assert to_toml(value) == text
