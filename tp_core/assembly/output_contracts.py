"""What the methods of each kind must return: shapes, dtypes, finite numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tp_core.assembly.watched_outputs import Check


def not_finite(args: tuple[Any, ...], result: Any) -> str | None:
    """Whether a result holds NaN or an infinity, in words."""
    value = result[0] if isinstance(result, tuple) else result
    if isinstance(value, Tensor) and not bool(torch.isfinite(value).all()):
        return "returned " + ("NaN" if bool(torch.isnan(value).any()) else "an infinite number")
    return None


def _tensor(value: Any, shape: tuple[int, ...]) -> str | None:
    """What is wrong with `value` as activations of this shape."""
    if not isinstance(value, Tensor):
        return f"returned {type(value).__name__}, not a tensor"
    if value.shape != shape:
        return f"returned shape {tuple(value.shape)}, not {tuple(shape)}"
    usual = {torch.float32, torch.get_autocast_dtype(value.device.type)}
    if value.dtype not in usual or (value.dtype != torch.float32 and not _autocasting(value)):
        return f"returned {value.dtype}, not torch.float32"
    return not_finite((), value)


def _autocasting(value: Tensor) -> bool:
    return torch.is_autocast_enabled(value.device.type)


def _like_first(args: tuple[Any, ...], result: Any) -> str | None:
    return _tensor(result, args[0].shape)


def _with_state(args: tuple[Any, ...], result: Any) -> str | None:
    if not isinstance(result, tuple) or len(result) != 2:
        return f"returned {type(result).__name__}, not (y, state)"
    if (args[2] is None) != (result[1] is None):
        return f"was given state {type(args[2]).__name__} and returned {type(result[1]).__name__}"
    return _like_first(args, result[0])


def _of_tokens(args: tuple[Any, ...], result: Any) -> str | None:
    """A block may keep more of each token between its layers than the model's width."""
    if isinstance(result, Tensor) and result.shape[:2] != args[0].shape[:2]:
        batch, length = args[0].shape[:2]
        return f"returned shape {tuple(result.shape)}, not ({batch}, {length}, ...)"
    return _tensor(result, getattr(result, "shape", ()))


def _left(args: tuple[Any, ...], result: Any) -> str | None:
    if isinstance(result, Tensor) and result.ndim != 3:
        return f"returned shape {tuple(result.shape)}, not [B, T, D]"
    return _of_tokens(args, result)


def _state(args: tuple[Any, ...], result: Any) -> str | None:
    """A nested dict of tensors with the batch on dim 0."""
    if not isinstance(result, dict):
        return f"returned {type(result).__name__}, not a dict of tensors"
    for name, value in result.items():
        if isinstance(value, dict):
            fault = _state(args, value)
        elif not isinstance(value, Tensor):
            fault = f"returned {type(value).__name__} as '{name}', not a tensor"
        elif value.ndim == 0 or len(value) != args[0]:
            fault = f"returned '{name}' of shape {tuple(value.shape)}, not [{args[0]}, ...]"
        else:
            fault = None
        if fault is not None:
            return fault
    return None


def _bias(args: tuple[Any, ...], result: Any) -> str | None:
    sizes = (args[0].shape[1], args[1].shape[1])
    if not isinstance(result, Tensor):
        return f"returned {type(result).__name__}, not a tensor"
    if result.ndim != 4 or result.shape[2:] != sizes:
        return f"returned shape {tuple(result.shape)}, not [B or 1, H, {sizes[0]}, {sizes[1]}]"
    return None


def _score(args: tuple[Any, ...], result: Any) -> str | None:
    if not isinstance(result, Tensor):
        return f"returned {type(result).__name__}, not a tensor"
    if result.shape != args[1].shape:
        return f"returned shape {tuple(result.shape)}, not {tuple(args[1].shape)}"
    return None


CONTRACT: Mapping[str, Mapping[str, Check]] = {
    "positional_encoding": {
        "embed": _like_first,
        "rotate": _like_first,
        "bias": _bias,
        "score": _score,
        "init_state": _state,
    },
    "attention": {"forward": _with_state, "init_state": _state},
    "norm": {"forward": _like_first},
    "mlp": {"forward": _like_first},
    "block": {"forward": _with_state, "enter": _of_tokens, "leave": _left},
}
_ACTIVATIONS = (_like_first, _with_state)
FINITE: Mapping[str, Mapping[str, Check]] = {
    kind: {name: not_finite for name, check in checks.items() if check in _ACTIVATIONS}
    for kind, checks in CONTRACT.items()
}
