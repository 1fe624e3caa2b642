"""What the gated MLPs share: y = W2·(φ(W·x + b) ⊙ (V·x + c)) + b2.

Three matrices instead of a plain MLP's two: an expansion of 8/3 costs what 4 costs there.
`match = "params"` finds that width for any expansion, biases included.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from tp_core.interfaces import BuildContext
from tp_plugins.mlps import GatedOptions


class Gated(nn.Module):
    def __init__(
        self, options: GatedOptions, ctx: BuildContext, activation: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.activation = activation
        hidden = options.hidden(ctx.dim)
        self.gate = ctx.linear(ctx.dim, hidden, bias=options.bias)
        self.up = ctx.linear(ctx.dim, hidden, bias=options.bias)
        self.down = ctx.linear(hidden, ctx.dim, residual=True, bias=options.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, T, D] -> y [B, T, D]"""
        y: Tensor = self.down(self.activation(self.gate(x)) * self.up(x))
        return y
