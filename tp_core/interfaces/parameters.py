"""A parameter as an optimizer component sees it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class ParameterInfo:
    """A parameter as an optimizer component sees it.

    `role` is one of `hidden` (matrices inside the model), `embedding`, `head`, `norm`, `bias`,
    `scalar` (any other vector or number). `learning_rate` is the peak that the schedule scales,
    `weight_decay` the config's for matrices and 0 for the rest.
    """

    name: str
    parameter: nn.Parameter
    role: str
    learning_rate: float
    weight_decay: float
