"""The plain transformer MLP with a Gaussian error linear unit (arXiv:1606.08415).

y = W2 · gelu(W1·x),    gelu(z) = z·Φ(z), Φ the standard normal distribution function
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tp_core.interfaces import BuildContext
from tp_plugins.mlps import GeluOptions


class Gelu(nn.Module):
    def __init__(self, options: GeluOptions, ctx: BuildContext) -> None:
        super().__init__()
        hidden = max(1, round(options.expansion * ctx.dim))
        self.up = ctx.linear(ctx.dim, hidden, bias=options.bias)
        self.down = ctx.linear(hidden, ctx.dim, residual=True, bias=options.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, T, D] -> y [B, T, D]"""
        y: Tensor = self.down(F.gelu(self.up(x)))
        return y
