"""AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101, algorithm 2), torch's implementation.

m ← β1·m + (1 − β1)·g,   v ← β2·v + (1 − β2)·g²
θ ← θ − lr·(m̂ / (√v̂ + eps) + weight_decay·θ)
"""

from __future__ import annotations

from typing import Any

import torch

from tp_core.interfaces import ParameterInfo
from tp_plugins.optimizers import AdamWOptions
from tp_plugins.optimizers.shared import groups_by_rate


class AdamW:
    def __init__(self, options: AdamWOptions, ctx: Any) -> None:
        self.options = options

    def build(self, parameters: list[ParameterInfo]) -> torch.optim.Optimizer:
        """One group for each learning rate and weight decay among the parameters."""
        betas = (self.options.beta1, self.options.beta2)
        fused = parameters[0].parameter.device.type in ("cpu", "cuda")
        return torch.optim.AdamW(
            groups_by_rate(parameters), betas=betas, eps=self.options.eps, fused=fused
        )
