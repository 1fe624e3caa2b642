"""Partial root mean square normalisation (Zhang & Sennrich 2019, arXiv:1910.07467, section 3.3).

y = x / √(mean of the first k of x² + eps) · gain,    k = share · D rounded up
"""

import math

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext
from tp_toolbox import PartialRmsOptions


class PartialRms(nn.Module):
    def __init__(self, options: PartialRmsOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.eps = options.eps
        self.first = math.ceil(options.share * ctx.dim)
        self.gain = nn.Parameter(torch.ones(ctx.dim))

    def forward(self, x: Tensor) -> Tensor:
        """x [..., D] -> y [..., D]; the mean square is taken in fp32."""
        wide = x.float()
        square = wide[..., : self.first].square().mean(-1, keepdim=True)
        return (wide * torch.rsqrt(square + self.eps) * self.gain).type_as(x)
