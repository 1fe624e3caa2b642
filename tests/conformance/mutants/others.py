"""Broken optimizers and schedules."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from tp_core.interfaces import ParameterInfo
from tp_core.testing.minimal import PlainOptimizer, PlainSchedule


class SkipsScalars(PlainOptimizer):
    def build(self, parameters: list[ParameterInfo]) -> torch.optim.Optimizer:
        return super().build([one for one in parameters if one.role != "scalar"])


class OneRate(PlainOptimizer):
    """All parameters at one learning rate."""

    def build(self, parameters: list[ParameterInfo]) -> torch.optim.Optimizer:
        return torch.optim.SGD([one.parameter for one in parameters], lr=0.03)


class NoDecay(PlainOptimizer):
    def build(self, parameters: list[ParameterInfo]) -> torch.optim.Optimizer:
        return super().build([dataclasses.replace(one, weight_decay=0.0) for one in parameters])


class UnsavedMomentum(PlainOptimizer):
    """Momentum kept where no checkpoint finds it."""

    def build(self, parameters: list[ParameterInfo]) -> torch.optim.Optimizer:
        optimizer = super().build(parameters)
        momentum: dict[Tensor, Tensor] = {}

        def add_momentum(self: Any, args: Any, kwargs: Any) -> None:
            for one in parameters:
                kept = momentum.get(one.parameter, torch.zeros_like(one.parameter))
                momentum[one.parameter] = one.parameter.grad = 0.5 * kept + one.parameter.grad

        optimizer.register_step_pre_hook(add_momentum)
        return optimizer


class BelowZero(PlainSchedule):
    def factor(self, step: int, max_steps: int) -> float:
        return 1 - 1.1 * step / max_steps


class CountsCalls(PlainSchedule):
    """Goes by how often it was asked."""

    calls = 0

    def factor(self) -> float:
        self.calls += 1
        return 1 / self.calls
