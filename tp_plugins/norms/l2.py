"""L2 normalisation to one length (Nguyen & Salazar 2019, arXiv:1910.05895, equation 5).

    y = g · x / max(‖x‖₂, eps),    g one number, learned, from `scale`; null is √D

With these defaults it is the paper's ScaleNorm: RMS normalisation with one gain for all features.

As an attention's `qk_norm`, with g_q and g_k and the usual 1/√Dh, logits are g_q·g_k/√Dh times the
cosine of query and key: the QKNorm of Henry et al. 2020 (arXiv:2010.04245, section 3), whose one
factor is here a product of two, and starts at √Dh. `scale = 1.0, learned = false` is the unit norm
of nGPT's hidden states (Loshchilov et al. 2024, arXiv:2410.01131), whose further factors are
other components' business.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tp_core.interfaces import BuildContext
from tp_plugins.norms import L2Options


class L2(nn.Module):
    scale: Tensor | float

    def __init__(self, options: L2Options, ctx: BuildContext) -> None:
        super().__init__()
        self.eps = options.eps
        start = math.sqrt(ctx.dim) if options.scale is None else options.scale
        self.scale = nn.Parameter(torch.tensor(start)) if options.learned else start

    def forward(self, x: Tensor) -> Tensor:
        """x [..., D] -> y [..., D]; the length is taken in fp32."""
        return (self.scale * F.normalize(x.float(), dim=-1, eps=self.eps)).type_as(x)
