"""Letting a component's methods take fewer arguments than their contract offers.

Decided once per class, when it is first built: the result is the class itself, or a subclass whose
methods drop what the component doesn't declare.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from tp_core.errors import TpError
from tp_core.kernel.kinds import KINDS


@functools.cache
def adapt(cls: type, kind: str, needs: tuple[str, ...] = ()) -> type:
    """The class, with every method of its kind's contract taking the contract's arguments.

    `needs` are the sites a positional encoding declared. Raises `TpError` for a method that is
    missing or asks for an argument the contract doesn't have.
    """
    for name in (*KINDS[kind].required, *needs):
        if not callable(getattr(cls, name, None)):
            raise TpError(f"{cls.__module__}.{cls.__qualname__} has no method {name}()")
    changed = {}
    for name, offered in KINDS[kind].methods.items():
        method = inspect.getattr_static(cls, name, None)
        if method is None or not callable(getattr(cls, name)):
            continue
        passed = _passed(cls, name, offered)
        if passed != offered:
            changed[name] = _narrow(getattr(cls, name), offered, passed)
    if not changed:
        return cls
    same = {k: getattr(cls, k) for k in ("__module__", "__qualname__", "__doc__")}
    return type(cls.__name__, (cls,), {**same, **changed})


def _passed(cls: type, name: str, offered: tuple[str, ...]) -> tuple[str, ...]:
    """Which of the offered arguments a method takes. Its first may go by any name."""
    parameters = list(inspect.signature(getattr(cls, name)).parameters.values())[1:]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return offered
    wanted = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    passed = []
    for index, parameter in enumerate(wanted):
        if parameter.name in offered:
            passed.append(parameter.name)
        elif index == 0:
            passed.append(offered[0])
        elif parameter.default is parameter.empty:
            raise TpError(
                f"{cls.__module__}.{cls.__qualname__}.{name}() asks for '{parameter.name}'; "
                f"it is offered: {', '.join(offered)}"
            )
    return tuple(passed)


def _narrow(
    method: Callable[..., Any], offered: tuple[str, ...], passed: tuple[str, ...]
) -> Callable[..., Any]:
    picks = tuple(offered.index(name) for name in passed)

    @functools.wraps(method)
    def narrowed(self: Any, *args: Any) -> Any:
        return method(self, *[args[i] for i in picks])

    return narrowed
