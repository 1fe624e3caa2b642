"""Stochastic gradient descent with momentum (Sutskever et al. 2013), torch's implementation.

g ← g + weight_decay·θ,   m ← momentum·m + g
θ ← θ − lr·m,   with Nesterov's momentum θ ← θ − lr·(g + momentum·m)

Unlike that of the other optimizers here, the weight decay goes through the momentum.
"""

from __future__ import annotations

from typing import Any

import torch

from tp_core.interfaces import ParameterInfo
from tp_plugins.optimizers import SgdOptions
from tp_plugins.optimizers.shared import groups_by_rate


class Sgd:
    def __init__(self, options: SgdOptions, ctx: Any) -> None:
        self.options = options

    def build(self, parameters: list[ParameterInfo]) -> torch.optim.Optimizer:
        """One group for each learning rate and weight decay among the parameters."""
        momentum, nesterov = self.options.momentum, self.options.nesterov
        return torch.optim.SGD(groups_by_rate(parameters), momentum=momentum, nesterov=nesterov)
