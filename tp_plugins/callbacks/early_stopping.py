"""Early stopping on the validation loss (Prechelt 1998, Early Stopping - But When?).

The training stops after `patience` evaluations in a row of which none was more than `min_delta`
below the best before it. `best_val.pt` holds the model of the best evaluation, as ever.
"""

from __future__ import annotations

from typing import Any

from tp_core.interfaces import BuildContext, EvaluationEvent
from tp_plugins.callbacks import EarlyStoppingOptions


class EarlyStopping:
    acts = True

    def __init__(self, options: EarlyStoppingOptions, ctx: BuildContext) -> None:
        self.options = options
        self.best: float | None = None
        self.waited = 0

    def on_evaluation(self, event: EvaluationEvent) -> None:
        loss = event.losses["val"]["loss"]
        if self.best is None or loss < self.best - self.options.min_delta:
            self.best, self.waited = loss, 0
        else:
            self.waited += 1

    def should_stop(self) -> str | None:
        if self.waited < self.options.patience:
            return None
        by = f" by more than {self.options.min_delta:g}" if self.options.min_delta else ""
        return (
            f"the validation loss has not improved{by} on {self.best:.4f} for {self.waited} "
            f"evaluation{'s' if self.waited > 1 else ''}"
        )

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]
