"""Finding every tensor a model holds, registered or not, and every random number drawn."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
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
            stack.extend((f"{path}.{name}" if path else name, v) for name, v in _inside(value))
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


class Draws(TorchDispatchMode):
    """While active, keeps a copy of the result of every random operation of torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[Tensor] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded in func.tags:
            several = result if isinstance(result, (tuple, list)) else (result,)
            self.drawn += [one.detach().clone() for one in several if isinstance(one, Tensor)]
        return result


def draws(action: Callable[[], object]) -> list[Tensor]:
    """What torch's random operations gave while `action` ran."""
    with Draws() as recorder:
        action()
    return recorder.drawn
