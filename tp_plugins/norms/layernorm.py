"""Layer normalisation (Ba et al. 2016, arXiv:1607.06450, equation 3).

    y = (x − mean x) / √(var x + eps) · g + b,    mean and variance over the features of one token

Without gain and shift it is OLMo's norm (Groeneveld et al. 2024, arXiv:2402.00838, section 2.1).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tp_core.interfaces import BuildContext
from tp_plugins.norms import LayerNormOptions


class LayerNorm(nn.Module):
    def __init__(self, options: LayerNormOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.inner = nn.LayerNorm(ctx.dim, eps=options.eps, bias=options.bias)
        if not options.gain:
            self.inner.register_parameter("weight", None)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., D] -> y [..., D]"""
        inner = self.inner
        return F.layer_norm(x, inner.normalized_shape, inner.weight, inner.bias, inner.eps)
