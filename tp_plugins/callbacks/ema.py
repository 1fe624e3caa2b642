"""An exponential moving average of the weights (Polyak & Juditsky 1992, with a decay).

    average ← d·average + (1 − d)·weights,   d = min(decay, (1 + t) / (10 + t)) at step t

The ramp, TensorFlow's, forgets the start sooner than `decay` alone would. The average is evaluated
after the weights themselves, under the splits `train_ema` and `val_ema` of `metrics.jsonl`, and
saved as `checkpoints/ema.pt` with each checkpoint. The training goes on from its own weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from tp_core.interfaces import (
    BuildContext,
    CheckpointEvent,
    EndEvent,
    EvaluationEvent,
    StartEvent,
    StepEvent,
    TrainingAccess,
)
from tp_plugins.callbacks import EmaOptions


class Ema:
    acts = True
    files = ("checkpoints/ema.pt",)

    def __init__(self, options: EmaOptions, ctx: BuildContext) -> None:
        self.decay = options.decay
        self.average: dict[str, Tensor] = {}

    def on_start(self, event: StartEvent) -> None:
        assert event.access is not None
        self.access: TrainingAccess = event.access
        parameters = dict(self.access.model.named_parameters())
        kept = self.average or {name: p.detach().clone() for name, p in parameters.items()}
        self.average = {name: kept[name].to(p.device) for name, p in parameters.items()}
        self.parameters: list[Tensor] = list(parameters.values())

    @torch.no_grad()
    def on_step(self, event: StepEvent) -> None:
        decay = min(self.decay, (1 + event.step) / (10 + event.step))
        torch._foreach_lerp_(list(self.average.values()), self.parameters, 1 - decay)

    def on_evaluation(self, event: EvaluationEvent) -> None:
        with self._in_place():
            found = self.access.evaluate()
        for split, losses in found.items():
            self.access.log(f"{split}_ema", losses)

    def on_checkpoint(self, event: CheckpointEvent) -> None:
        if event.path.name == "last.pt":
            self._save()

    def on_end(self, event: EndEvent) -> None:
        if event.status == "finished":  # a kill may have come between the last two checkpoints
            self._save()

    def _save(self) -> None:
        with self._in_place():
            self.access.save("ema")

    @contextmanager
    @torch.no_grad()
    def _in_place(self) -> Iterator[None]:
        """The average in the place of the model's weights."""
        weights = [parameter.clone() for parameter in self.parameters]
        torch._foreach_copy_(self.parameters, list(self.average.values()))
        try:
            yield
        finally:
            torch._foreach_copy_(self.parameters, weights)

    def state_dict(self) -> dict[str, Any]:
        return dict(self.average)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.average = state
