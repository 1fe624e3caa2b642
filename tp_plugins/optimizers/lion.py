"""Lion (Chen et al. 2023, arXiv:2302.06675, algorithm 2): the sign of a momentum.

u ← sign(β1·m + (1 − β1)·g)
θ ← θ − lr·(u + weight_decay·θ)
m ← β2·m + (1 − β2)·g

Every entry moves by the whole learning rate, so the paper takes one 3 to 10 times smaller than
AdamW's, and a weight decay as much larger.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tp_core.interfaces import ParameterInfo
from tp_plugins.optimizers import LionOptions
from tp_plugins.optimizers.shared import OneByOne, groups_by_rate


class Lion:
    def __init__(self, options: LionOptions, ctx: Any) -> None:
        self.options = options

    def build(self, parameters: list[ParameterInfo]) -> torch.optim.Optimizer:
        """One group for each learning rate and weight decay among the parameters."""
        betas = (self.options.beta1, self.options.beta2)
        return _Lion(groups_by_rate(parameters), {"betas": betas})


class _Lion(OneByOne):
    def update(
        self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum, (beta1, beta2) = state["momentum"], group["betas"]
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(momentum.lerp(gradient, 1 - beta1).sign_(), alpha=-group["lr"])
        momentum.lerp_(gradient, 1 - beta2)
