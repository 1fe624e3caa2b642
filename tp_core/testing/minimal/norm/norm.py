"""Root mean square normalisation (Zhang & Sennrich 2019, arXiv:1910.07467, equation 4).

    y = x / √(mean x² + eps) · gain,    the mean over the features of one token

What a norm must hold:

- `forward(x)` takes [..., D] and returns the same shape and dtype. D is `ctx.dim`: d_model in a
  block, head_dim where an attention normalises its queries and keys.
- Each token on its own: nothing is summed over the batch or over time.
- In bf16 autocast x may be bf16; what needs precision is computed in fp32.
"""

import torch
from torch import Tensor, nn
from tp_core.interfaces import BuildContext

from tp_core.testing.minimal.norm import MinimalOptions


class Minimal(nn.Module):
    def __init__(self, options: MinimalOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.eps = options.eps
        self.gain = nn.Parameter(torch.ones(ctx.dim))

    def forward(self, x: Tensor) -> Tensor:
        """x [..., D] -> y [..., D]"""
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (wide * scale * self.gain).type_as(x)
