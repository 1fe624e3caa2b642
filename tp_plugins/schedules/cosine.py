"""Cosine annealing (Loshchilov & Hutter 2016, arXiv:1608.03983, equation 5) after a linear warmup.

    factor(s) = floor + (1 − floor)·(1 + cos(π·t)) / 2
    t = (s − warmup) / (max_steps − 1 − warmup)

so that the first step after the warmup has factor 1 and the last step has `floor`.
"""

from __future__ import annotations

import math
from typing import Any

from tp_plugins.schedules import CosineOptions
from tp_plugins.schedules.constant import warmup_factor


class Cosine:
    def __init__(self, options: CosineOptions, ctx: Any) -> None:
        self.options = options

    def factor(self, step: int, max_steps: int) -> float:
        """The factor on the peak learning rate for the step after `step` completed ones."""
        warmup, floor = self.options.warmup, self.options.floor
        if step < warmup:
            return warmup_factor(step, warmup)
        t = min(1.0, (step - warmup) / max(1, max_steps - 1 - warmup))
        return floor + (1 - floor) * (1 + math.cos(math.pi * t)) / 2
