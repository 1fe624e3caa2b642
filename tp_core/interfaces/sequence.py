"""What a component knows of a batch beside the activations: positions, documents, validity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SequenceInfo:
    """The metadata of one forward pass over [B, T] tokens.

    - `positions` int64 [B, T]: place in the document, 0 where one starts, −1 for no token (a pad,
      or a row that idles).
    - `documents` int64 [B, T]: tokens see each other only within one document. Ids never fall along
      a row.
    - `valid` bool [B, T]: `positions >= 0`.
    - `causal_only`: the maker of the batch promises one document per row, starting at position 0,
      with no pads before tokens and no state; attention may then be causal by index.
    - `shared`: a dict in which earlier layers leave values for later ones of the same pass.
    - `losses`: auxiliary losses added so far, by name; whoever made the batch reads them after it.

    Each pass needs a new one: a model refuses one that has values of an earlier pass in it.
    """

    positions: Tensor
    documents: Tensor
    valid: Tensor
    causal_only: bool = False
    shared: dict[Any, Any] = field(default_factory=dict)
    losses: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of_rows(cls, lengths: Tensor, width: int) -> SequenceInfo:
        """One document per row, `lengths` [B] tokens each, padded right to `width`."""
        index = torch.arange(width, device=lengths.device).expand(len(lengths), width)
        valid = index < lengths[:, None]
        positions = torch.where(valid, index, -1)
        return cls(positions, torch.zeros_like(positions), valid, causal_only=True)

    @classmethod
    def of_positions(cls, positions: Tensor, documents: Tensor | None = None) -> SequenceInfo:
        """Any layout, from its positions [B, T]; one document per row unless told otherwise."""
        documents = torch.zeros_like(positions) if documents is None else documents
        return cls(positions, documents, positions >= 0)

    @property
    def token_positions(self) -> Tensor:
        """`positions`, as [1, T] where all rows are alike but for pads: for what depends on
        nothing else, so that it is computed once for the batch."""
        if not self.causal_only:
            return self.positions
        return torch.arange(self.positions.shape[1], device=self.positions.device)[None]

    def add_loss(self, name: str, total: Tensor) -> None:
        """Add an auxiliary loss, summed over valid tokens, scaled as it should enter the loss."""
        self.losses[name] = self.losses[name] + total if name in self.losses else total
