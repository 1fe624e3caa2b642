"""A straight line down (Devlin et al. 2018, arXiv:1810.04805, appendix A.2) after a linear warmup.

    factor(s) = floor + (1 − floor)·(1 − t),   t = (s − warmup) / (max_steps − 1 − warmup)

so that the first step after the warmup has factor 1 and the last step has `floor`.
"""

from __future__ import annotations

from typing import Any

from tp_plugins.schedules import LinearOptions
from tp_plugins.schedules.constant import warmup_factor


class Linear:
    def __init__(self, options: LinearOptions, ctx: Any) -> None:
        self.options = options

    def factor(self, step: int, max_steps: int) -> float:
        """The factor on the peak learning rate for the step after `step` completed ones."""
        warmup, floor = self.options.warmup, self.options.floor
        if step < warmup:
            return warmup_factor(step, warmup)
        t = min(1.0, (step - warmup) / max(1, max_steps - 1 - warmup))
        return floor + (1 - floor) * (1 - t)
