"""Top-nσ sampling (Tang et al. 2024, arXiv:2411.07641).

Tokens stay whose logit is at least M − n·σ, M being the largest logit of the row and σ their
standard deviation: √(mean of (l − mean)²), over the tokens that are still there. A temperature
scales both sides, so the same tokens stay at any. Equal logits share their fate, and the largest
always stay.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tp_plugins.samplers import TopNSigmaOptions


class TopNSigma:
    def __init__(self, options: TopNSigmaOptions, ctx: Any) -> None:
        self.n = options.n

    def __call__(self, logits: Tensor) -> Tensor:
        there = logits.isfinite()
        count = there.sum(-1, keepdim=True)
        # Measured from the largest, which is then 0, so that the threshold is −n·σ.
        below = torch.where(there, logits.double() - logits.amax(-1, keepdim=True), 0.0)
        mean = below.sum(-1, keepdim=True) / count
        variance = torch.where(there, (below - mean).square(), 0.0).sum(-1, keepdim=True) / count
        return logits.masked_fill(below < -self.n * variance.sqrt(), -torch.inf)
