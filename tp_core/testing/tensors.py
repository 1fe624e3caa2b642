"""Finding every tensor a model holds, registered or not, and every random number drawn."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode


def registered(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, those left out of the state_dict too."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def held(root: object) -> dict[str, Tensor]:
    """Every tensor that can be reached from an object through attributes, containers and closures,
    by the path to it."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    stack = [("", root)]
    while stack:
        path, value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            found[path] = value
        else:
            inner = [(f"{path}.{name}" if path else name, v) for name, v in _inside(value)]
            stack.extend(reversed(inner))  # submodules first: their paths are the familiar ones
    return found


def _inside(value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (str, bytes, type, types.ModuleType)):
        return
    if isinstance(value, nn.Module):
        yield from value._parameters.items()
        yield from value._buffers.items()
        yield from value._modules.items()
    if isinstance(value, Mapping):
        yield from ((str(key), one) for key, one in value.items())
    elif isinstance(value, (Sequence, set, frozenset)):
        yield from ((str(index), one) for index, one in enumerate(value))
    elif isinstance(value, types.MethodType):
        yield "self", value.__self__
    elif isinstance(value, types.FunctionType):
        for cell in value.__closure__ or ():
            yield "closure", cell.cell_contents
    elif isinstance(value, nn.Module) or not type(value).__module__.startswith("torch"):
        yield from getattr(value, "__dict__", {}).items()


@contextmanager
def random_draws() -> Iterator[list[Tensor]]:
    """A list that gets a copy of the result of every random operation of torch's, while open."""
    drawn: list[Tensor] = []

    def dispatch(self: Any, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded in func.tags:
            several = result if isinstance(result, (tuple, list)) else (result,)
            drawn.extend(one.detach().clone() for one in several if isinstance(one, Tensor))
        return result

    # Made by a call, since torch's base class carries no types.
    mode = type("RandomDraws", (TorchDispatchMode,), {"__torch_dispatch__": dispatch})
    with mode():
        yield drawn
