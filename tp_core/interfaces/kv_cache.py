"""Remembering past tokens for attention: whatever is kept per token, with position and document."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tp_core.interfaces.positional_encoding import NO_ENCODING, PositionalEncoding
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.interfaces.state import State, part

FEATURES = "features"
"""The name that an encoding's features are stored under, beside the attention's own tensors."""


@dataclass(frozen=True)
class KVEntries:
    """What the queries of a forward pass may look at: S tokens per row.

    `tensors` hold [B, S, ...] under the names they were appended with; `positions` and `documents`
    int64 [B, S] say what each is, position −1 where there is nothing. `cached` tells whether they
    come out of a state, rather than being this pass's own tokens. `window` and `encoding` are the
    cache's, and `query_features` [B, T, ...] what that encoding has of this pass's tokens; those of
    the keys are among the tensors.
    """

    tensors: dict[str, Tensor]
    positions: Tensor
    documents: Tensor
    cached: bool
    window: int | None = None
    encoding: PositionalEncoding = NO_ENCODING
    query_features: Tensor | None = None

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def with_tensors(self, **tensors: Tensor) -> KVEntries:
        """The same entries with more tensors [B, S, ...], made from those that were stored."""
        return replace(self, tensors={**self.tensors, **tensors})


class KVCache:
    """The state of an attention that looks back at single tokens.

    ```python
    self.encoding = ctx.positional_encoding()
    self.cache = KVCache(self.encoding, window=options.window)
    # in init_state:  return self.cache.init_state(batch, capacity, device, dtype)
    # in forward:     kv = self.cache.append(state, seq, x, k=k, v=v)    # each [B, T, ...]
    ```

    Each row counts its own tokens, and only tokens are stored: pads and idle rows take no slot, so
    a slot is always reused by age within its row. With a window W there are at most W slots. What
    the encoding keeps of a token is computed and stored with it, which is all that site `score`
    asks of an attention.
    """

    def __init__(
        self, encoding: PositionalEncoding = NO_ENCODING, *, window: int | None = None
    ) -> None:
        self.encoding = encoding
        self.window = window

    def init_state(
        self, batch: int, capacity: int, device: torch.device, dtype: torch.dtype
    ) -> State:
        """Room for `capacity` tokens per row, or for the window where that is less."""
        slots = capacity if self.window is None else min(capacity, self.window)
        empty = torch.full((batch, slots), -1, dtype=torch.int64, device=device)
        count = torch.zeros(batch, dtype=torch.int64, device=device)
        own = self.encoding.init_state(batch, capacity, device, dtype)
        return {"positions": empty, "documents": empty.clone(), "count": count, "encoding": own}

    def append(
        self, state: State | None, seq: SequenceInfo, x: Tensor, /, **tensors: Tensor
    ) -> KVEntries:
        """Store this pass's tensors [B, T, ...] and return all that its queries may look at.

        `x` [B, T, D] is what the attention was given: encodings that depend on data read it.
        Writes into `state`; without one (training) the pass looks at itself.
        """
        features = self.encoding.features(x, seq, part(state, "encoding"))
        if features is not None:
            tensors = {**tensors, FEATURES: features}
        if state is None:
            return KVEntries(
                *(tensors, seq.positions, seq.documents, False),
                *(self.window, self.encoding, features),
            )
        new = {**tensors, "positions": seq.positions, "documents": seq.documents}
        count, held = _tensor(state, "count"), _tensor(state, "positions")
        slots = held.shape[1]
        for name, value in tensors.items():
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
        return KVEntries(keys, positions, documents, True, self.window, self.encoding, features)


def _tensor(state: State, name: str) -> Tensor:
    value = state[name]
    assert isinstance(value, Tensor)
    return value
