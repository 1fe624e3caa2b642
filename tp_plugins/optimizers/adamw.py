"""AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101, algorithm 2), torch's implementation.

m ← β1·m + (1 − β1)·g,   v ← β2·v + (1 − β2)·g²
θ ← θ − lr·(m̂ / (√v̂ + eps) + weight_decay·θ)
"""

from __future__ import annotations

from typing import Any

import torch

from tp_core.interfaces import ParameterInfo
from tp_plugins.optimizers import AdamWOptions


class AdamW:
    def __init__(self, options: AdamWOptions, ctx: Any) -> None:
        self.options = options

    def build(self, parameters: list[ParameterInfo]) -> torch.optim.Optimizer:
        """One group for each learning rate and weight decay among the parameters."""
        groups: dict[tuple[float, float], dict[str, Any]] = {}
        for info in parameters:
            key = (info.learning_rate, info.weight_decay)
            group = groups.setdefault(key, {"params": [], "lr": key[0], "weight_decay": key[1]})
            group["params"].append(info.parameter)
        betas = (self.options.beta1, self.options.beta2)
        fused = parameters[0].parameter.device.type in ("cpu", "cuda")
        return torch.optim.AdamW(
            list(groups.values()), betas=betas, eps=self.options.eps, fused=fused
        )
