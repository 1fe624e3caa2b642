"""Whose code failed, when an assembled model does: told from the traceback, at no cost before."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from tp_core.config.resolve import Chosen
from tp_core.errors import TpError
from tp_core.interfaces.build import component_error

Built = Sequence[tuple[Any, Chosen]]
"""Components as built, each with what it was chosen by."""


@contextmanager
def blame(built: Built) -> Iterator[None]:
    """Turn what a component of `built` raises inside the `with` into a `TpError` that names it.

    What none of them had a part in passes through as it is, and so does running out of memory.
    """
    try:
        yield
    except (TpError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        chosen = culprit(error, built)
        if chosen is None:
            raise
        raise component_error(chosen, "failed", error) from error


def culprit(error: BaseException, built: Built) -> Chosen | None:
    """The component nearest to where `error` was raised: an instance's method, or else any code of
    its module, or else of its distribution's package; None where no frame is any component's."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][::-1]
    for frame in frames:
        for made, chosen in built:
            if frame.f_locals.get("self") is made or _module(frame) == _target(chosen):
                return chosen
    for frame in frames:
        for _, chosen in built:
            if _top(_module(frame)) == _top(_target(chosen)):
                return chosen
    return None


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _target(chosen: Chosen) -> str:
    return chosen.registered.component.target.partition(":")[0]


def _top(module: str) -> str:
    return module.partition(".")[0]
