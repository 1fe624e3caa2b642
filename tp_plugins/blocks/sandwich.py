"""Sandwich normalisation (Ding et al. 2021, CogView, arXiv:2105.13290, section 2.4; Gemma 2).

x ← x + norm(attention(norm(x))),    x ← x + norm(mlp(norm(x)))
"""

from __future__ import annotations

from torch import Tensor, nn

from tp_core import Options
from tp_core.interfaces import BuildContext, SequenceInfo, State


class Sandwich(nn.Module):
    def __init__(self, options: Options, ctx: BuildContext) -> None:
        super().__init__()
        self.attention_norm, self.attention_out_norm = ctx.norm(), ctx.norm()
        self.attention = ctx.attention()
        self.mlp = ctx.mlp()
        if self.mlp is not None:
            self.mlp_norm, self.mlp_out_norm = ctx.norm(), ctx.norm()
        self.dropout = nn.Dropout(ctx.dropout)

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        """x [B, T, D] -> x [B, T, D], and the attention's state after it."""
        y, state = self.attention(self.attention_norm(x), seq, state)
        x = x + self.dropout(self.attention_out_norm(y))
        if self.mlp is not None:
            y = self.mlp(self.mlp_norm(x), seq)
            x = x + self.dropout(self.mlp_out_norm(y))
        return x, state
