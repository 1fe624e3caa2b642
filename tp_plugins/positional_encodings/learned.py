"""Learned absolute positions (Gehring et al. 2017, arXiv:1705.03122, section 3.1).

x_t ← x_t + P[position of t],    P a learned [max_seq_len, d_model] table
"""

from __future__ import annotations

from torch import Tensor, nn

from tp_core import Options
from tp_core.interfaces import BuildContext, SequenceInfo


class Learned(nn.Module):
    """Site `embed`: adds a row of a table to each token's embedding."""

    def __init__(self, options: Options, ctx: BuildContext) -> None:
        super().__init__()
        self.table = nn.Embedding(ctx.max_seq_len, ctx.d_model)
        nn.init.normal_(self.table.weight, std=0.02)

    def embed(self, x: Tensor, seq: SequenceInfo) -> Tensor:
        """x [B, T, D] with each token's position added; pads get position 0, which no one sees."""
        added: Tensor = self.table(seq.token_positions.clamp(min=0))
        return x + added
