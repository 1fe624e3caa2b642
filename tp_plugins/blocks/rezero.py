"""ReZero (Bachlechner et al. 2020, arXiv:2003.04887, section 5).

    x ← x + α·attention(x),    x ← x + α·mlp(x),    α one learned number per layer, from 0

No norm inside the layers; the model's final norm stays. At the start every layer is the identity:
of its parameters the first step moves α alone, and the sublayers' follow from the second on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tp_core import Options
from tp_core.interfaces import BuildContext, SequenceInfo, State


class ReZero(nn.Module):
    def __init__(self, options: Options, ctx: BuildContext) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(()))
        self.attention = ctx.attention()
        self.mlp = ctx.mlp()
        self.dropout = nn.Dropout(ctx.dropout)

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        """x [B, T, D] -> x [B, T, D], and the attention's state after it."""
        y, state = self.attention(x, seq, state)
        x = x + self.dropout(self.alpha * y)
        if self.mlp is not None:
            x = x + self.dropout(self.alpha * self.mlp(x, seq))
        return x, state
