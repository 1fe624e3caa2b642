"""Decay by the square root of the step (Vaswani et al. 2017, arXiv:1706.03762, equation 3).

    factor(s) = min((s + 1) / (warmup + 1), √((warmup + 1) / (s + 1)))

The paper's d_model^−0.5·min(n^−0.5, n·w^−1.5) of step n = s + 1 with w = warmup + 1, over its peak.
The warmup sets the pace of the decay, too: at step n = 4·w the factor is ½.
"""

from __future__ import annotations

import math
from typing import Any

from tp_plugins.schedules import WarmupOptions
from tp_plugins.schedules.constant import warmup_factor


class InverseSqrt:
    def __init__(self, options: WarmupOptions, ctx: Any) -> None:
        self.warmup = options.warmup

    def factor(self, step: int) -> float:
        """The factor on the peak learning rate for the step after `step` completed ones."""
        return min(warmup_factor(step, self.warmup), math.sqrt((self.warmup + 1) / (step + 1)))
