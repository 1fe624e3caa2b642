"""Metadata of a batch: positions, documents, and which tokens are valid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SequenceInfo:
    """The metadata of one forward pass over [B, T] tokens.

    - `positions` int64 [B, T]: position in the document, starting at 0; −1 for padding and idle
      rows.
    - `documents` int64 [B, T]: tokens only see tokens of the same document. Ids never decrease
      along a row.
    - `valid` bool [B, T]: `positions >= 0`.
    - `causal_only`: a promise that each row is one document starting at position 0, with no padding
      before tokens and no state; attention can then be causal by index.
    - `shared`: a dict for passing values from earlier to later layers of the same pass.
    - `losses`: auxiliary losses added so far, by name; read by the caller after the pass.

    Create a new one for each pass: a model rejects one with values from an earlier pass.
    """

    positions: Tensor
    documents: Tensor
    valid: Tensor
    causal_only: bool = False
    shared: dict[Any, Any] = field(default_factory=dict)
    losses: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of_rows(cls, lengths: Tensor, width: int) -> SequenceInfo:
        """One document per row, of `lengths` [B] tokens, right-padded to `width`."""
        index = torch.arange(width, device=lengths.device).expand(len(lengths), width)
        valid = index < lengths[:, None]
        positions = torch.where(valid, index, -1)
        return cls(positions, torch.zeros_like(positions), valid, causal_only=True)

    @classmethod
    def of_positions(cls, positions: Tensor, documents: Tensor | None = None) -> SequenceInfo:
        """Any layout, given its positions [B, T]; one document per row by default."""
        documents = torch.zeros_like(positions) if documents is None else documents
        return cls(positions, documents, positions >= 0)

    @property
    def token_positions(self) -> Tensor:
        """`positions`, or [1, T] if all rows are the same except for padding, so that values that
        depend only on positions are computed once for the batch."""
        if not self.causal_only:
            return self.positions
        return torch.arange(self.positions.shape[1], device=self.positions.device)[None]

    def add_loss(self, name: str, total: Tensor) -> None:
        """Add an auxiliary loss, summed over valid tokens and already scaled by its weight."""
        self.losses[name] = self.losses[name] + total if name in self.losses else total
