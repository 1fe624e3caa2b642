"""Stops once the loss is low enough: steps to a goal (after Shallue et al. 2019, arXiv:1811.03600).

    smoothed ← 0.9·smoothed + 0.1·loss of the step's batch,    from the first loss on

What a callback must hold:

- It is told of events by those methods it has: `on_start`, `on_step`, `on_evaluation`,
  `on_checkpoint` and `on_end`; `tp_core.interfaces.callbacks` says what each event tells.
- One that only watches changes nothing: no weights, no random numbers. What it raises costs the
  training nothing. Only with `acts = True` may it have `should_stop()`, or change what is computed.
- All that it remembers is in `state_dict()`, as tensors and plain data: a resumed run goes on to
  the same bits. What it does follows from the events alone, not from the time or from chance.
- It writes into the run's directory only, and says what: `files = ("curve.csv",)`.
"""

from typing import Any

from tp_core.interfaces import BuildContext, StepEvent

from tp_core.testing.minimal.callback import MinimalOptions


class Minimal:
    acts = True

    def __init__(self, options: MinimalOptions, ctx: BuildContext) -> None:
        self.target = options.target
        self.smoothed: float | None = None

    def on_step(self, event: StepEvent) -> None:
        before = event.loss if self.smoothed is None else self.smoothed
        self.smoothed = 0.9 * before + 0.1 * event.loss

    def should_stop(self) -> str | None:
        if self.smoothed is None or self.smoothed >= self.target:
            return None
        return f"the smoothed loss {self.smoothed:.4f} is below {self.target:g}"

    def state_dict(self) -> dict[str, Any]:
        return {"smoothed": self.smoothed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.smoothed = state["smoothed"]
