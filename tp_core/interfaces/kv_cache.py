"""A cache of past tokens for attention: tensors per token, with positions and documents."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tp_core.interfaces.positional_encoding import NO_ENCODING, PositionalEncoding
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.interfaces.state import State, part

FEATURES = "features"
"""The name of an encoding's features among the stored tensors."""


@dataclass(frozen=True)
class KVEntries:
    """The keys available to the queries of a forward pass: S tokens per row.

    `tensors` has [B, S, ...] under the names they were appended with; `positions` and `documents`
    int64 [B, S] describe the tokens, with position −1 for empty slots. `cached` is true if they
    come from a state, not only from this pass. `window` and `encoding` are those of the cache, and
    `query_features` [B, T, ...] are the encoding's features of this pass's tokens; the features of
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
        """The same entries with additional tensors [B, S, ...], computed from the stored ones."""
        return replace(self, tensors={**self.tensors, **tensors})


class KVCache:
    """The state of an attention over individual tokens.

    ```python
    self.encoding = ctx.positional_encoding()
    self.cache = KVCache(self.encoding, window=options.window)
    # in init_state:  return self.cache.init_state(batch, capacity, device, dtype)
    # in forward:     kv = self.cache.append(state, seq, x, k=k, v=v)    # each [B, T, ...]
    ```

    Only tokens are stored: padding and idle rows take no slots, so each row always replaces its own
    oldest token. With a window W there are at most W slots. The encoding's features of a token are
    computed and stored along with it, which is all that site `score` requires of an attention.
    """

    def __init__(
        self, encoding: PositionalEncoding = NO_ENCODING, *, window: int | None = None
    ) -> None:
        self.encoding = encoding
        self.window = window

    def init_state(
        self, batch: int, capacity: int, device: torch.device, dtype: torch.dtype
    ) -> State:
        """An empty state for `capacity` tokens per row, or the window if that is smaller."""
        slots = capacity if self.window is None else min(capacity, self.window)
        empty = torch.full((batch, slots), -1, dtype=torch.int64, device=device)
        count = torch.zeros(batch, dtype=torch.int64, device=device)
        own = self.encoding.init_state(batch, capacity, device, dtype)
        return {"positions": empty, "documents": empty.clone(), "count": count, "encoding": own}

    def append(
        self, state: State | None, seq: SequenceInfo, x: Tensor, /, **tensors: Tensor
    ) -> KVEntries:
        """Store this pass's tensors [B, T, ...] and return all entries available to its queries.

        `x` [B, T, D] is the input of the attention, for data-dependent encodings. Updates `state`
        in place; without a state, as in training, the entries are this pass's tokens.
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
        # Storing a token can evict the one `window` before it. A single token can't see that one,
        # but earlier queries in a longer chunk can, so they use the entries before eviction.
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
