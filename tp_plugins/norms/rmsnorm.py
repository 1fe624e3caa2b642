"""Root mean square normalisation (Zhang & Sennrich 2019, arXiv:1910.07467, equation 4).

    y = x / √(mean x² + eps) · g,    the mean over the features of one token

`gain` says what g is:

- `plain`: learned per feature, from 1;
- `unit_offset`: 1 + w, with w learned from 0 (Gemma, arXiv:2403.08295): the same function, stored
  so that weights near 0, where floating point is finest, mean a gain near 1;
- `none`: 1. The linear maps that follow can learn what a gain would.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tp_core.interfaces import BuildContext
from tp_plugins.norms import RmsNormOptions


class RmsNorm(nn.Module):
    gain: Tensor | None

    def __init__(self, options: RmsNormOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.eps, self.dim = options.eps, ctx.dim
        self.offset = 1.0 if options.gain == "unit_offset" else 0.0
        start = torch.full((ctx.dim,), 1 - self.offset)
        self.gain = nn.Parameter(start) if options.gain != "none" else None

    def forward(self, x: Tensor) -> Tensor:
        """x [..., D] -> y [..., D]; the mean square is taken in fp32."""
        gain = self.gain + self.offset if self.gain is not None and self.offset else self.gain
        return F.rms_norm(x.float(), (self.dim,), gain, self.eps).type_as(x)
