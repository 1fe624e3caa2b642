"""Attribute an error in an assembled model to a component, using its traceback."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from tp_core.config.components import ResolvedComponent
from tp_core.errors import TpError
from tp_core.kernel.tracebacks import frames, module_of, raised_at, summary, top_level

BuiltComponents = Sequence[tuple[Any, ResolvedComponent]]
"""Built components, each with its resolved spec."""

# A message may contain whole tensors.
_LONGEST_MESSAGE = 300


@contextmanager
def attribute_errors(built: BuiltComponents) -> Iterator[None]:
    """Turn errors raised by a component of `built` into a `TpError` that names it.

    Errors that involve no component, and running out of memory, pass through unchanged.
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
    """The component closest to where `error` was raised, or None.

    A frame belongs to a component if it is in a method of its instance, or else in its module, or
    else in its distribution's package.
    """
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
    """An error in a component, with the innermost line in its package, or else outside tp."""
    text = summary(error)
    if len(text) > _LONGEST_MESSAGE:
        text = text[:_LONGEST_MESSAGE] + "…"
    place = raised_at(error, inside=(top_level(_module(resolved)),)) or raised_at(
        error, outside=("tp_core", "importlib")
    )
    at = f" ({place})" if place else ""
    return TpError(
        f"{resolved.kind} '{resolved.name}' {what}: {text}{at}\n"
        "  set TP_TRACEBACK=1 to see the full traceback"
    )


def _module(resolved: ResolvedComponent) -> str:
    return resolved.registered.component.target.partition(":")[0]
