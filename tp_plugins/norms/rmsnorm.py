"""Root mean square normalisation (Zhang & Sennrich 2019, arXiv:1910.07467, equation 4).

y = x / √(mean x² + eps) · g,    the mean over the features of one token
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tp_core.interfaces import BuildContext
from tp_plugins.norms import RmsNormOptions


class RmsNorm(nn.Module):
    def __init__(self, options: RmsNormOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.eps = options.eps
        self.gain = nn.Parameter(torch.ones(ctx.dim))

    def forward(self, x: Tensor) -> Tensor:
        """x [..., D] -> y [..., D]; the mean square is taken in fp32."""
        return F.rms_norm(x.float(), self.gain.shape, self.gain, self.eps).type_as(x)
