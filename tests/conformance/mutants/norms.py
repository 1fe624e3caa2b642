"""Broken norms."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext
from tp_core.testing.minimal.norm.norm import Minimal


class OverTime(Minimal):
    """One mean square for all tokens of a row: each is scaled by what comes after it."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean((-2, -1), keepdim=True) + 1e-6) * self.gain


class OverTimeDetached(Minimal):
    """The same through a mean that no gradient passes."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - 0.1 * x.mean(-2, keepdim=True).detach())


class OverBatch(Minimal):
    """Statistics over the batch in training, running ones in evaluation."""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__(options, ctx)
        self.inner = nn.BatchNorm1d(ctx.dim)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.inner(x.reshape(-1, x.shape[-1])).view_as(x))


class DeadParameter(Minimal):
    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__(options, ctx)
        self.shift = nn.Parameter(torch.zeros(ctx.dim))


class LooseTensor(Minimal):
    """A constant that stays on the CPU when the model moves."""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__(options, ctx)
        self.scale = torch.full((ctx.dim,), 2.0)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


class LooseParameter(Minimal):
    """Random numbers in a list, where neither the optimizer nor a checkpoint finds them."""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__(options, ctx)
        self.shifts = [torch.randn(ctx.dim)]

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.shifts[0]


class Uncopied(Minimal):
    def __deepcopy__(self, memo: dict[int, Any]) -> Uncopied:
        return self


class Ignores(Minimal):
    """Its options play no part."""


class Scaled(Minimal):
    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__(options, ctx)
        self.strength = options.strength

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.strength


class InPlace(Minimal):
    """Saves a tensor, and spoils the residual stream, where no gradient is there to complain."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(x)
        return x.mul_(torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)).mul_(self.gain)
