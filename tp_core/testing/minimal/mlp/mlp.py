"""GELU-gated linear unit (Shazeer 2020, arXiv:2002.05202, equation 6).

    y = W2 · (gelu(W·x) ⊙ V·x)

What an MLP must hold:

- `forward(x)` takes [B, T, D] and returns the same shape. D is `ctx.dim`.
- Each token on its own: nothing is summed over the batch or over time.
- It may declare `forward(x, seq)` to see what each token is (`seq.valid`: no pad), and to add an
  auxiliary loss, summed over valid tokens: `seq.add_loss("balance", total)`.
- `ctx.linear` makes maps under the model's init policy; `residual=True` marks the one whose output
  is added to the residual stream.
"""

import torch.nn.functional as F
from torch import Tensor, nn
from tp_core.interfaces import BuildContext

from tp_core.testing.minimal.mlp import MinimalOptions


class Minimal(nn.Module):
    def __init__(self, options: MinimalOptions, ctx: BuildContext) -> None:
        super().__init__()
        hidden = max(1, round(options.expansion * ctx.dim))
        self.gate = ctx.linear(ctx.dim, hidden)
        self.up = ctx.linear(ctx.dim, hidden)
        self.down = ctx.linear(hidden, ctx.dim, residual=True)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, T, D] -> y [B, T, D]"""
        y: Tensor = self.down(F.gelu(self.gate(x)) * self.up(x))
        return y
