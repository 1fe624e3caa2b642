"""Post-norm residual block (Vaswani et al. 2017, arXiv:1706.03762, section 3.1).

    x ← norm(x + attention(x)),    x ← norm(x + mlp(x))

The model's final norm then takes a stream that is normalised already. At the start it changes next
to nothing (`dyt` apart); later its gain is one more factor on the same features.
"""

from __future__ import annotations

from torch import Tensor, nn

from tp_core import Options
from tp_core.interfaces import BuildContext, SequenceInfo, State


class Post(nn.Module):
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
        x = self.attention_norm(x + self.dropout(y))
        if self.mlp is not None and self.mlp_norm is not None:
            x = self.mlp_norm(x + self.dropout(self.mlp(x, seq)))
        return x, state
