"""What an exception says, and whose line it came from."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tp_core.kernel.tracebacks import raised_at, summary, top_level


def caught(action: Callable[[], Any]) -> Exception:
    try:
        action()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (ValueError(" "), "ValueError"),
        (KeyError("a"), "KeyError: 'a'"),
    ],
)
def test_summary(error: Exception, text: str) -> None:
    assert summary(error) == text


def test_the_innermost_frame_that_is_wanted() -> None:
    error = caught(lambda: json.loads("{"))
    ours = top_level(__name__)
    assert raised_at(error).startswith(f"{json.decoder.__file__}:")
    assert raised_at(error, inside=("json",)) == raised_at(error)
    assert raised_at(error, inside=(ours,)).startswith(f"{__file__}:")
    assert raised_at(error, outside=("json",)) == raised_at(error, inside=(ours,))
    assert raised_at(error, inside=("torch",)) == ""


def test_a_syntax_error_is_where_it_was_written() -> None:
    error = caught(lambda: compile("a = 1\nb = = 2\n", "there.py", "exec"))
    assert raised_at(error, inside=("torch",)) == "there.py:2"


@pytest.mark.parametrize("name", ["a", "a.b", "a.b:C", "a:C.d"])
def test_top_level(name: str) -> None:
    assert top_level(name) == "a"
