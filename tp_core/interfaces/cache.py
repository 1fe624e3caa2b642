"""Remembering past tokens for attention: whatever is kept per token, with position and document."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tp_core.interfaces.sequence import SequenceInfo
from tp_core.interfaces.state import State


@dataclass(frozen=True)
class Keys:
    """What the queries of a forward pass may look at: S tokens per row.

    `entries` hold [B, S, ...] under the names they were appended with; `positions` and `documents`
    int64 [B, S] say what each is, position −1 where there is nothing. `cached` tells whether they
    come out of a state, rather than being this pass's own tokens.
    """

    entries: dict[str, Tensor]
    positions: Tensor
    documents: Tensor
    cached: bool

    def __getitem__(self, name: str) -> Tensor:
        return self.entries[name]


class KVCache:
    """The state of an attention that looks back at single tokens.

    ```python
    self.cache = KVCache(window=options.window)
    # in init_state:  return self.cache.init_state(batch, capacity, device)
    # in forward:     keys = self.cache.append(state, seq, k=k, v=v)    # each [B, T, ...]
    ```

    Each row counts its own tokens, and only tokens are stored: pads and idle rows take no slot, so
    a slot is always reused by age within its row. With a window W there are at most W slots.
    """

    def __init__(self, window: int | None = None) -> None:
        self.window = window

    def init_state(self, batch: int, capacity: int, device: torch.device) -> State:
        """Room for `capacity` tokens per row, or for the window where that is less."""
        slots = capacity if self.window is None else min(capacity, self.window)
        empty = torch.full((batch, slots), -1, dtype=torch.int64, device=device)
        count = torch.zeros(batch, dtype=torch.int64, device=device)
        return {"positions": empty, "documents": empty.clone(), "count": count}

    def append(self, state: State | None, seq: SequenceInfo, **entries: Tensor) -> Keys:
        """Store this pass's entries [B, T, ...] and return all that its queries may look at.

        Writes into `state`; without one (training) the pass looks at itself.
        """
        if state is None:
            return Keys(entries, seq.positions, seq.documents, cached=False)
        new = {**entries, "positions": seq.positions, "documents": seq.documents}
        count, held = _tensor(state, "count"), _tensor(state, "positions")
        slots = held.shape[1]
        for name, value in entries.items():
            if name not in state:
                state[name] = value.new_zeros(len(value), slots, *value.shape[2:])
        # Storing a token may push out the one `window` before it. A single token can't see that one
        # any more; in a longer chunk earlier queries still do, so they look before it is gone.
        look_first = self.window is not None and seq.positions.shape[1] > 1
        keys = {
            name: torch.cat([_tensor(state, name), value], 1)
            if look_first
            else _tensor(state, name)
            for name, value in new.items()
        }
        rank, total = seq.valid.cumsum(1) - 1, seq.valid.sum(1)
        stored = seq.valid & (rank >= (total - slots)[:, None])
        rows, columns = stored.nonzero(as_tuple=True)
        target = ((count[:, None] + rank) % slots)[rows, columns]
        for name, value in new.items():
            _tensor(state, name)[rows, target] = value[rows, columns]
        state["count"] = count + total
        positions, documents = keys.pop("positions"), keys.pop("documents")
        return Keys(keys, positions, documents, cached=True)


def _tensor(state: State, name: str) -> Tensor:
    value = state[name]
    assert isinstance(value, Tensor)
    return value
