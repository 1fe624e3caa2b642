"""Reordered norm (OLMo 2, OLMo et al. 2025, arXiv:2501.00656, section 3.3.1; Liu et al. 2021,
Swin V2, arXiv:2111.09883, where it is called residual post-norm).

    x ← x + norm(attention(x)),    x ← x + norm(mlp(x))

What is added to the stream is as large as the norm's gain says; what a sublayer reads grows with
depth, which is why OLMo 2 pairs this with a norm on queries and keys.
"""

from __future__ import annotations

from torch import Tensor, nn

from tp_core import Options
from tp_core.interfaces import BuildContext, SequenceInfo, State


class Reordered(nn.Module):
    def __init__(self, options: Options, ctx: BuildContext) -> None:
        super().__init__()
        self.attention_norm = ctx.norm()
        self.attention = ctx.attention()
        self.mlp = ctx.mlp()
        self.mlp_norm = ctx.norm() if self.mlp is not None else None
        self.dropout = nn.Dropout(ctx.dropout)

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        """x [B, T, D] -> x [B, T, D], and the attention's state after it."""
        y, state = self.attention(x, seq, state)
        x = x + self.dropout(self.attention_norm(y))
        if self.mlp is not None and self.mlp_norm is not None:
            x = x + self.dropout(self.mlp_norm(self.mlp(x, seq)))
        return x, state
