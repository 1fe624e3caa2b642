"""Warmup, stable, decay (Hu et al. 2024, arXiv:2404.06395, section 4.2).

Level after a linear warmup, but for the last D = decay·max_steps steps:

    factor(s) = floor + (1 − floor)·shape(t),   t = (s + 1 − max_steps + D) / D

so that the last step has `floor`. The shapes fall from 1 to 0:

    linear  1 − t      cosine  (1 + cos(π·t)) / 2      sqrt  1 − √t   (Hägele et al. 2024,
                                                                       arXiv:2405.18392)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tp_plugins.schedules import WsdOptions
from tp_plugins.schedules.constant import warmup_factor

_SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda t: 1 - t,
    "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,
    "sqrt": lambda t: 1 - math.sqrt(t),
}


class Wsd:
    def __init__(self, options: WsdOptions, ctx: Any) -> None:
        self.options = options
        self.shape = _SHAPES[options.shape]

    def factor(self, step: int, max_steps: int) -> float:
        """The factor on the peak learning rate for the step after `step` completed ones."""
        decaying, floor = self.options.decay_steps(max_steps), self.options.floor
        t = (step + 1 - max_steps + decaying) / decaying
        if t <= 0:
            return warmup_factor(step, self.options.warmup)
        return floor + (1 - floor) * self.shape(min(1.0, t))
