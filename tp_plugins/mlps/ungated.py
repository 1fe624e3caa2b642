"""What the MLPs with two linear maps share: y = W2·φ(W1·x + b1) + b2."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from tp_core.interfaces import BuildContext
from tp_plugins.mlps import UngatedOptions


class Ungated(nn.Module):
    def __init__(
        self, options: UngatedOptions, ctx: BuildContext, activation: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.activation = activation
        hidden = options.hidden(ctx.dim)
        self.up = ctx.linear(ctx.dim, hidden, bias=options.bias)
        self.down = ctx.linear(hidden, ctx.dim, residual=True, bias=options.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, T, D] -> y [B, T, D]"""
        y: Tensor = self.down(self.activation(self.up(x)))
        return y
