"""Whose code failed, when an assembled model does: told from the traceback, at no cost before."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from tp_core.assembly.builder import component_error
from tp_core.config.components import ResolvedComponent
from tp_core.errors import TpError

BuiltComponents = Sequence[tuple[Any, ResolvedComponent]]
"""Components as built, each with what it was chosen by."""


@contextmanager
def attribute_errors(built: BuiltComponents) -> Iterator[None]:
    """Turn what a component of `built` raises inside the `with` into a `TpError` that names it.

    What none of them had a part in passes through as it is, and so does running out of memory.
    """
    try:
        yield
    except (TpError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        resolved = failing_component(error, built)
        if resolved is None:
            raise
        raise component_error(resolved, "failed", error) from error


def failing_component(error: BaseException, built: BuiltComponents) -> ResolvedComponent | None:
    """The component nearest to where `error` was raised: an instance's method, or else any code of
    its module, or else of its distribution's package; None where no frame is any component's."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][::-1]
    for frame in frames:
        for made, resolved in built:
            if frame.f_locals.get("self") is made or _module(frame) == _target(resolved):
                return resolved
    for frame in frames:
        for _, resolved in built:
            if _top(_module(frame)) == _top(_target(resolved)):
                return resolved
    return None


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _target(resolved: ResolvedComponent) -> str:
    return resolved.registered.component.target.partition(":")[0]


def _top(module: str) -> str:
    return module.partition(".")[0]
