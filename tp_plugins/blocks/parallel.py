"""Parallel residual block (Wang & Komatsuzaki 2021, GPT-J; Chowdhery et al. 2022, PaLM,
arXiv:2204.02311, section 2).

    x ← x + attention(norm(x)) + mlp(norm(x))

With `shared_norm` both read the same normalised stream, as in these; without, each has a norm of
its own, as in GPT-NeoX (Black et al. 2022, arXiv:2204.06745, section 2.1).
"""

from __future__ import annotations

from torch import Tensor, nn

from tp_core.interfaces import BuildContext, SequenceInfo, State
from tp_plugins.blocks import ParallelOptions


class Parallel(nn.Module):
    def __init__(self, options: ParallelOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.attention_norm = ctx.norm()
        self.attention = ctx.attention()
        self.mlp = ctx.mlp()
        own = self.mlp is not None and not options.shared_norm
        self.mlp_norm = ctx.norm() if own else None
        self.dropout = nn.Dropout(ctx.dropout)

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        """x [B, T, D] -> x [B, T, D], and the attention's state after it."""
        normed = self.attention_norm(x)
        y, state = self.attention(normed, seq, state)
        total = x + self.dropout(y)
        if self.mlp is not None:
            normed = normed if self.mlp_norm is None else self.mlp_norm(x)
            total = total + self.dropout(self.mlp(normed, seq))
        return total, state
