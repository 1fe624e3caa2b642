"""Broken optimizers and schedules."""

from __future__ import annotations

import dataclasses

import torch

from tp_core.interfaces import ParameterInfo
from tp_core.testing.minimal.optimizer.optimizer import Minimal as MinimalOptimizer
from tp_core.testing.minimal.schedule.schedule import Minimal as MinimalSchedule


class SkipsScalars(MinimalOptimizer):
    def build(self, parameters: list[ParameterInfo]) -> torch.optim.Optimizer:
        return super().build([one for one in parameters if one.role != "scalar"])


class OneRate(MinimalOptimizer):
    """All parameters at one learning rate."""

    def build(self, parameters: list[ParameterInfo]) -> torch.optim.Optimizer:
        return torch.optim.SGD([one.parameter for one in parameters], lr=0.03)


class NoDecay(MinimalOptimizer):
    def build(self, parameters: list[ParameterInfo]) -> torch.optim.Optimizer:
        return super().build([dataclasses.replace(one, weight_decay=0.0) for one in parameters])


class UnsavedMomentum(MinimalOptimizer):
    """Momentum that a checkpoint doesn't hold."""

    def build(self, parameters: list[ParameterInfo]) -> torch.optim.Optimizer:
        optimizer = super().build(parameters)
        optimizer.register_state_dict_post_hook(lambda _, saved: {**saved, "state": {}})
        return optimizer


class BelowZero(MinimalSchedule):
    def factor(self, step: int, max_steps: int) -> float:
        return 1 - 1.1 * step / max_steps


class CountsCalls(MinimalSchedule):
    """Goes by how often it was asked."""

    calls = 0

    def factor(self) -> float:
        self.calls += 1
        return 1 / self.calls
