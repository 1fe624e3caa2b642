"""A constant learning rate after a linear warmup.

factor(s) = min(1, (s + 1) / (warmup + 1))
"""

from __future__ import annotations

from typing import Any

from tp_plugins.schedules import WarmupOptions


def warmup_factor(step: int, warmup: int) -> float:
    """The linear rise from 1/(warmup + 1) at step 0 to 1 at step `warmup`."""
    return min(1.0, (step + 1) / (warmup + 1))


class Constant:
    def __init__(self, options: WarmupOptions, ctx: Any) -> None:
        self.warmup = options.warmup

    def factor(self, step: int) -> float:
        """The factor on the peak learning rate for the step after `step` completed ones."""
        return warmup_factor(step, self.warmup)
