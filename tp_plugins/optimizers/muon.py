"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): a momentum made orthogonal.

For the matrices inside the model, A × B:

m ← momentum·m + (1 − momentum)·g,   u ← (1 − momentum)·g + momentum·m   (u ← m without Nesterov)
θ ← θ − lr·(s·O(u) + weight_decay·θ)

O(u) is close to U·Vᵀ of the singular value decomposition u = U·S·Vᵀ, by a Newton-Schulz iteration:
from X = u / ‖u‖, `ns_steps` times

X ← a·X + (b·X·Xᵀ + c·(X·Xᵀ)²)·X   with (a, b, c) = (3.4445, −4.7750, 2.0315)

which brings the singular values near 1 (most to 0.7 to 1.2 in five). The factor s by shape is
√max(1, A/B) in the `original`; `match_rms_adamw` is 0.2·√max(A, B) (Liu et al. 2025,
arXiv:2502.16982), with which an entry moves about as far as AdamW would move it, so that one
learning rate and weight decay do for both.

A parameter of role `hidden` with more than two axes is a stack of matrices [..., A, B]: experts are
orthogonalised each on its own. What has fewer, and every other role, is AdamW's.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from tp_core.interfaces import ParameterInfo
from tp_plugins.optimizers import MuonOptions
from tp_plugins.optimizers.shared import OneByOne, groups_by_rate

_A, _B, _C = 3.4445, -4.7750, 2.0315
_SMALLEST_NORM = 1e-7


class Muon:
    def __init__(self, options: MuonOptions, ctx: Any) -> None:
        self.options = options

    def build(self, parameters: list[ParameterInfo]) -> torch.optim.Optimizer:
        """One optimizer over all: groups with `muon` true and false, apart by rate and decay."""
        mine = [info for info in parameters if info.role == "hidden" and info.parameter.ndim > 1]
        chosen = {id(info.parameter) for info in mine}
        rest = [info for info in parameters if id(info.parameter) not in chosen]
        groups = groups_by_rate(mine, muon=True) + groups_by_rate(rest, muon=False)
        return _Muon(groups, self.options)


class _Muon(OneByOne):
    def __init__(self, groups: list[dict[str, Any]], options: MuonOptions) -> None:
        super().__init__(groups, {})
        self.options = options

    def update(
        self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        if group["muon"]:
            self._muon(parameter, gradient, state, group["lr"], group["weight_decay"])
        else:
            rate = group["lr"] * self.options.adamw_lr_ratio
            self._adamw(parameter, gradient, state, rate, group["weight_decay"])

    def _muon(
        self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], rate: float, decay: float
    ) -> None:
        options = self.options
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"].lerp_(gradient, 1 - options.momentum)
        update = gradient.lerp(momentum, options.momentum) if options.nesterov else momentum
        update = orthogonalised(update, options.ns_steps, working_dtype(parameter.device))
        rows, columns = parameter.shape[-2:]
        scale = math.sqrt(max(1.0, rows / columns))
        if options.adjust == "match_rms_adamw":
            scale = 0.2 * math.sqrt(max(rows, columns))
        parameter.mul_(1 - rate * decay).add_(update.type_as(parameter), alpha=-rate * scale)

    def _adamw(
        self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], rate: float, decay: float
    ) -> None:
        beta1, beta2 = self.options.beta1, self.options.beta2
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(parameter)
            state["mean_square"] = torch.zeros_like(parameter)
        state["step"] += 1
        mean = state["mean"].lerp_(gradient, 1 - beta1)
        square = state["mean_square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        root = (square / (1 - beta2 ** state["step"])).sqrt_().add_(self.options.eps)
        size = rate / (1 - beta1 ** state["step"])
        parameter.mul_(1 - rate * decay).addcdiv_(mean, root, value=-size)


def working_dtype(device: torch.device) -> torch.dtype:
    """What to iterate in: bf16 is enough for it, and fast on a GPU; a CPU is faster in fp32."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def orthogonalised(update: Tensor, steps: int, dtype: torch.dtype) -> Tensor:
    """Matrices [..., A, B] with their singular values taken to about 1, in `dtype`."""
    tall = update.shape[-2] > update.shape[-1]
    x: Tensor = (update.mT if tall else update).to(dtype)
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=_SMALLEST_NORM)
    for _ in range(steps):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.transpose(-2, -1) if tall else x
