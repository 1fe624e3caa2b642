"""Pre-norm block with LayerScale (Touvron et al. 2021, arXiv:2103.17239, section 2.1).

    x ← x + gain₁ ⊙ attention(norm(x)),    x ← x + gain₂ ⊙ mlp(norm(x))

What a block must hold:

- It builds this layer's parts from its context: `ctx.attention()` once, `ctx.mlp()`, which is None
  where the config has `mlp_enabled = false`, and as many `ctx.norm()` as it likes.
- `forward(x, seq, state)` takes [B, T, D] and returns `(x, state)`, x of the same shape. The state
  is the attention's: it goes in with the call and comes back from it.
- It has the residual arithmetic to itself; `ctx.dropout` is the model's residual dropout.
"""

import torch
from torch import Tensor, nn
from tp_core.interfaces import BuildContext, SequenceInfo, State

from tp_core.testing.minimal.block import MinimalOptions


class Minimal(nn.Module):
    def __init__(self, options: MinimalOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.attention_norm, self.attention = ctx.norm(), ctx.attention()
        self.attention_gain = nn.Parameter(torch.full((ctx.dim,), options.start))
        self.mlp = ctx.mlp()
        if self.mlp is not None:
            self.mlp_norm = ctx.norm()
            self.mlp_gain = nn.Parameter(torch.full((ctx.dim,), options.start))
        self.dropout = nn.Dropout(ctx.dropout)

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        """x [B, T, D] -> x [B, T, D], and the attention's state after it."""
        y, state = self.attention(self.attention_norm(x), seq, state)
        x = x + self.dropout(self.attention_gain * y)
        if self.mlp is not None:
            x = x + self.dropout(self.mlp_gain * self.mlp(self.mlp_norm(x), seq))
        return x, state
