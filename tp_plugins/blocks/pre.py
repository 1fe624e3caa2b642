"""Pre-norm residual block (Xiong et al. 2020, arXiv:2002.04745).

x ← x + attention(norm(x)),    x ← x + mlp(norm(x))
"""

from __future__ import annotations

from torch import Tensor, nn

from tp_core import Options
from tp_core.interfaces import BuildContext, SequenceInfo, State


class Pre(nn.Module):
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
        y, state = self.attention(self.attention_norm(x), seq, state)
        x = x + self.dropout(y)
        if self.mlp is not None and self.mlp_norm is not None:
            x = x + self.dropout(self.mlp(self.mlp_norm(x), seq))
        return x, state
