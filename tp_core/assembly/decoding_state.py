"""What the core does with a component's decoding state, without looking inside."""

from __future__ import annotations

from torch import Tensor

from tp_core.interfaces.state import State


def reorder(state: State, rows: Tensor) -> State:
    """The state whose row i is the old row `rows[i]`: drops, repeats and permutes rows."""
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
