"""Summarise exceptions and locate where they were raised. Torch-free."""

from __future__ import annotations

import traceback
from collections.abc import Container
from types import FrameType


def summary(error: BaseException) -> str:
    """An exception in one line: `TypeError: text`, or only its type if it has no text."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def raised_at(
    error: BaseException, *, inside: Container[str] | None = None, outside: Container[str] = ()
) -> str:
    """`file:line` of the innermost frame in a top-level package of `inside` and none of `outside`.

    A syntax error is located in the source, which has no frame. Empty if no frame matches.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    for frame, line in frames(error):
        package = top_level(module_of(frame))
        if package not in outside and (inside is None or package in inside):
            return f"{frame.f_code.co_filename}:{line}"
    return ""


def frames(error: BaseException) -> list[tuple[FrameType, int]]:
    """The frames an exception passed through, each with its line, innermost first."""
    return list(traceback.walk_tb(error.__traceback__))[::-1]


def module_of(frame: FrameType) -> str:
    """The dotted name of the module a frame's code is in; empty if it has none."""
    return str(frame.f_globals.get("__name__", ""))


def top_level(name: str) -> str:
    """The top-level package of a dotted name or a target: `a` of `a.b:C`."""
    return name.partition(":")[0].partition(".")[0]
