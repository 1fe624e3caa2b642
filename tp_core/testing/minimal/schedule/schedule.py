"""Linear warmup, then linear decay to zero (Bergsma et al. 2025, arXiv:2502.15938).

    factor(s) = (s + 1) / (warmup + 1)                         while s < warmup
    factor(s) = 1 − (s − warmup) / (max_steps − warmup)        after that

What a schedule must hold:

- `factor(step, max_steps)` scales every learning rate for the step after `step` completed ones. It
  is asked for 0 to max_steps − 1, and is finite and never negative.
- It depends on its arguments alone: a resumed run asks for none of the earlier steps.
"""

from tp_core.interfaces import BuildContext

from tp_core.testing.minimal.schedule import MinimalOptions


class Minimal:
    def __init__(self, options: MinimalOptions, ctx: BuildContext) -> None:
        self.warmup = options.warmup

    def factor(self, step: int, max_steps: int) -> float:
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        return max(0.0, 1 - (step - self.warmup) / (max_steps - self.warmup))
