"""LayerScale (Touvron et al. 2021, CaiT, arXiv:2103.17239, equation 4).

x ← x + γ₁ ⊙ attention(norm(x)),    x ← x + γ₂ ⊙ mlp(norm(x)),    γ learned per feature
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, SequenceInfo, State
from tp_plugins.blocks import LayerScaleOptions


class LayerScale(nn.Module):
    def __init__(self, options: LayerScaleOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.attention_norm = ctx.norm()
        self.attention = ctx.attention()
        self.attention_scale = nn.Parameter(torch.full((ctx.dim,), options.start))
        self.mlp = ctx.mlp()
        if self.mlp is not None:
            self.mlp_norm = ctx.norm()
            self.mlp_scale = nn.Parameter(torch.full((ctx.dim,), options.start))
        self.dropout = nn.Dropout(ctx.dropout)

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        """x [B, T, D] -> x [B, T, D], and the attention's state after it."""
        y, state = self.attention(self.attention_norm(x), seq, state)
        x = x + self.dropout(self.attention_scale * y)
        if self.mlp is not None:
            y = self.mlp(self.mlp_norm(x), seq)
            x = x + self.dropout(self.mlp_scale * y)
        return x, state
