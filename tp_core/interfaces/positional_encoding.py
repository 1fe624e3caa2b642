"""A layer's positional encoding, as used by its attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tp_core.interfaces.sequence import SequenceInfo
from tp_core.interfaces.state import State


class PositionalEncoding:
    """A positional encoding and its sites; sites it doesn't act on leave their input unchanged.

    This is not a module: the encoding belongs to the model, which can share it between layers, so
    an attention that holds a `PositionalEncoding` doesn't register its parameters again.
    """

    def __init__(self, component: Any) -> None:
        self.component = component
        self.rotates = hasattr(component, "rotate")
        self.biases = hasattr(component, "bias")
        self.scores = hasattr(component, "score")

    def rotate(self, t: Tensor, positions: Tensor, which: str) -> Tensor:
        """Rotate queries or keys [B, H, T, Dh] (`which` is "q" or "k") by positions [B, T].

        Padding has position −1 and is never seen, so its rotation doesn't matter.
        """
        if not self.rotates:
            return t
        rotated: Tensor = self.component.rotate(t, positions, which)
        return rotated

    def bias(self, q_positions: Tensor, k_positions: Tensor) -> Tensor | None:
        """An fp32 bias [B or 1, H, T, S] to add to the logits, or None."""
        if not self.biases:
            return None
        bias: Tensor = self.component.bias(q_positions, k_positions)
        return bias

    def features(self, x: Tensor, seq: SequenceInfo, state: State | None) -> Tensor | None:
        """A data-dependent encoding's features of each token of x [B, T, D]: [B, T, ...], or None.

        `KVCache` calls this, and stores the features with the token's key.
        """
        make = getattr(self.component, "features", None)
        features: Tensor | None = make(x, seq, state) if make else None
        return features

    def score(
        self, q: Tensor, logits: Tensor, q_feat: Tensor | None, k_feat: Tensor | None, mask: Tensor
    ) -> Tensor:
        """Transform logits [B, H, T, S] depending on data; `mask` says which keys queries see."""
        scored: Tensor = self.component.score(q, logits, q_feat, k_feat, mask)
        return scored

    def init_state(
        self, batch: int, capacity: int, device: torch.device, dtype: torch.dtype
    ) -> State:
        """The encoding's own state, stored inside the attention's."""
        make = getattr(self.component, "init_state", None)
        state: State = make(batch, capacity, device, dtype) if make else {}
        return state


NO_ENCODING = PositionalEncoding(None)
"""An encoding that acts on no site."""
