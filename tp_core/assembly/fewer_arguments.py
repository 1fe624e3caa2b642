"""Letting a component's methods take fewer arguments than their contract offers.

Decided once per class, when it is first built: the result is the class itself, or a subclass whose
methods also take what the component doesn't declare, and drop it. A component's own calls of its
own methods go through as its author wrote them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tp_core.errors import TpError
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.kernel.kinds import KINDS


@functools.cache
def adapt(cls: type, kind: str, needs: tuple[str, ...]) -> type:
    """The class, with every method of its kind's contract taking the contract's arguments.

    `needs` are the sites a positional encoding declared. Raises `TpError` for a method that is
    missing or asks for an argument the contract doesn't have.
    """
    for name in (*KINDS[kind].required, *needs):
        if not callable(getattr(cls, name, None)):
            raise TpError(f"{cls.__module__}.{cls.__qualname__} has no method {name}()")
    changed: dict[str, Any] = {}
    for name, offered in KINDS[kind].methods.items():
        method = inspect.getattr_static(cls, name, None)
        if method is None or not callable(getattr(cls, name)):
            continue
        narrowed = _narrow(cls, name, offered)
        if narrowed is not None:
            changed[name] = narrowed
    if not changed:
        return cls

    reduce: Any = cls.__reduce_ex__

    def reduced(self: Any, protocol: Any) -> Any:
        make, arguments, *rest = reduce(self, protocol)
        own = tuple(cls if one is type(self) else one for one in arguments)
        return _unpickled, (cls, kind, needs, make, own), *rest

    same = {k: getattr(cls, k) for k in ("__module__", "__qualname__", "__doc__")}
    return type(cls.__name__, (cls,), {**same, **changed, "__reduce_ex__": reduced})


def _unpickled(
    cls: type,
    kind: str,
    needs: tuple[str, ...],
    make: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> Any:
    """An adapted object, from its author's class: a module has that class under its name alone."""
    adapted = adapt(cls, kind, needs)
    return make(*(adapted if one is cls else one for one in arguments))


def passes_all(offered: tuple[str, ...], args: tuple[Any, ...], named: Mapping[str, Any]) -> bool:
    """Whether a call is one as the contract has it: all its arguments, in its order.

    The author's own calls pass fewer, or other ones, or some by name.
    """
    if len(args) != len(offered) or named:
        return False
    return "seq" not in offered or isinstance(args[offered.index("seq")], SequenceInfo)


def _narrow(cls: type, name: str, offered: tuple[str, ...]) -> Callable[..., Any] | None:
    """A method that takes the contract's arguments too; None for one that does so as it is."""
    parameters = _taken(cls, name, offered)
    if tuple(parameters) == offered and inspect.Parameter.KEYWORD_ONLY not in parameters.values():
        return None
    method = getattr(cls, name)
    picks, by_name = [], {}
    for parameter, how in parameters.items():
        index = offered.index(parameter)
        if how is inspect.Parameter.KEYWORD_ONLY:
            by_name[parameter] = index
        else:
            picks.append(index)

    @functools.wraps(method)
    def narrowed(self: Any, *args: Any, **named: Any) -> Any:
        if passes_all(offered, args, named):
            named = {parameter: args[index] for parameter, index in by_name.items()}
            args = tuple([args[index] for index in picks])
        return method(self, *args, **named)

    return narrowed


def _taken(cls: type, name: str, offered: tuple[str, ...]) -> dict[str, Any]:
    """Which of the offered arguments a method takes, and how. Its first may go by any name."""
    parameters = list(inspect.signature(getattr(cls, name)).parameters.values())[1:]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return dict.fromkeys(offered)
    wanted = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    taken = {}
    for index, parameter in enumerate(wanted):
        if parameter.name in offered:
            taken[parameter.name] = parameter.kind
        elif index == 0 and parameter.kind is not parameter.KEYWORD_ONLY:
            taken[offered[0]] = parameter.kind
        elif parameter.default is parameter.empty:
            raise TpError(
                f"{cls.__module__}.{cls.__qualname__}.{name}() asks for '{parameter.name}'; "
                f"it is offered: {', '.join(offered)}"
            )
    return taken
