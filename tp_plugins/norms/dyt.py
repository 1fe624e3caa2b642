"""Dynamic tanh, in place of a norm (Zhu et al. 2025, arXiv:2503.10622, equation 5).

    y = g · tanh(α·x) + b,    α one learned number, g and b learned per feature

No statistics of the token: what a norm does to large features, the tanh does to each on its own. So
the length of the token stays in y, and a model with small embeddings starts with small outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext
from tp_plugins.norms import DytOptions


class DyT(nn.Module):
    def __init__(self, options: DytOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(options.alpha))
        self.gain = nn.Parameter(torch.ones(ctx.dim))
        self.bias = nn.Parameter(torch.zeros(ctx.dim))

    def forward(self, x: Tensor) -> Tensor:
        """x [..., D] -> y [..., D], computed in fp32."""
        return (self.gain * torch.tanh(self.alpha * x.float()) + self.bias).type_as(x)
