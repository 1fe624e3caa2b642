"""Whose code failed, when an assembled model does: told from the traceback, at no cost before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from tp_core.config.components import ResolvedComponent
from tp_core.errors import TpError
from tp_core.kernel.tracebacks import frames, module_of, raised_at, summary, top_level

BuiltComponents = Sequence[tuple[Any, ResolvedComponent]]
"""Components as built, each with what it was chosen by."""

# A component's message may quote whole tensors.
_LONGEST_MESSAGE = 300


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
    passed = [frame for frame, _ in frames(error)]
    for frame in passed:
        for made, resolved in built:
            if frame.f_locals.get("self") is made or module_of(frame) == _module(resolved):
                return resolved
    for frame in passed:
        for _, resolved in built:
            if top_level(module_of(frame)) == top_level(_module(resolved)):
                return resolved
    return None


def component_error(resolved: ResolvedComponent, what: str, error: BaseException) -> TpError:
    """A component's own failure, with the innermost line of its package that led to it, or else of
    any but tp's."""
    text = summary(error)
    if len(text) > _LONGEST_MESSAGE:
        text = text[:_LONGEST_MESSAGE] + "…"
    place = raised_at(error, inside=(top_level(_module(resolved)),)) or raised_at(
        error, outside=("tp_core", "importlib")
    )
    at = f" ({place})" if place else ""
    return TpError(
        f"{resolved.kind} '{resolved.name}' {what}: {text}{at}\n"
        "  TP_TRACEBACK=1 shows how it got there"
    )


def _module(resolved: ResolvedComponent) -> str:
    return resolved.registered.component.target.partition(":")[0]
