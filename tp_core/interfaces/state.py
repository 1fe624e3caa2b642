"""State for incremental decoding: a nested dict of tensors with the batch on dim 0.

Each component defines its own state; the core only applies the functions below.
"""

from __future__ import annotations

from typing import TypeAlias, Union

from torch import Tensor

State: TypeAlias = dict[str, Union[Tensor, "State"]]


def reorder(state: State, rows: Tensor) -> State:
    """Select rows of a state, so that row i is the old row `rows[i]`."""
    return {
        name: reorder(value, rows) if isinstance(value, dict) else value.index_select(0, rows)
        for name, value in state.items()
    }


def size_in_bytes(state: State) -> int:
    """Memory held, in bytes."""
    return sum(
        size_in_bytes(value) if isinstance(value, dict) else value.numel() * value.element_size()
        for value in state.values()
    )


def part(state: State | None, name: str) -> State | None:
    """A nested part of a state; None without a state, as in training."""
    if state is None:
        return None
    inner = state[name]
    assert isinstance(inner, dict)
    return inner
