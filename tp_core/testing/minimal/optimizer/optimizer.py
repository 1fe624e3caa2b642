"""Signum (Bernstein et al. 2018, arXiv:1802.04434, algorithm 2) with decoupled weight decay.

    m ← momentum·m + (1 − momentum)·g,    θ ← θ − lr·(sign(m) + weight_decay·θ)

What an optimizer must hold:

- `build(parameters)` takes a list of `ParameterInfo` and returns a `torch.optim.Optimizer` over all
  of them. Each has a `role` ("hidden", "embedding", "head", "norm", "bias" or "scalar"), so that
  matrices may be treated differently from the rest.
- Each group's `lr` is the `learning_rate` of its parameters; the schedule scales it every step.
- `weight_decay` is each parameter's own: that of the config for matrices, 0 for the rest.
- All that it remembers is in `state_dict()`: a resumed run goes on to the same bits.

Every coordinate moves by lr in every step, so it wants a tenth of AdamW's learning rate or less.
"""

from typing import Any

import torch
from tp_core.interfaces import BuildContext, ParameterInfo

from tp_core.testing.minimal.optimizer import MinimalOptions


class Minimal:
    def __init__(self, options: MinimalOptions, ctx: BuildContext) -> None:
        self.options = options

    def build(self, parameters: list[ParameterInfo]) -> torch.optim.Optimizer:
        """One group for each learning rate and weight decay among the parameters."""
        groups: dict[tuple[float, float], dict[str, Any]] = {}
        for info in parameters:
            key = (info.learning_rate, info.weight_decay)
            group = groups.setdefault(key, {"params": [], "lr": key[0], "weight_decay": key[1]})
            group["params"].append(info.parameter)
        return MinimalSteps(list(groups.values()), self.options.momentum)


class MinimalSteps(torch.optim.Optimizer):
    def __init__(self, groups: list[dict[str, Any]], momentum: float) -> None:
        super().__init__(groups, {"momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step down from the gradients there are; a closure is called first, for its loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "mean" not in state:
                    state["mean"] = torch.zeros_like(p)
                state["mean"].lerp_(p.grad, 1 - group["momentum"])
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(state["mean"].sign(), alpha=-group["lr"])
        return loss
