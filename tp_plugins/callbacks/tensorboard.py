"""Curves for TensorBoard, in the run's `tensorboard/`: `tensorboard --logdir runs` shows them.

Needs tensorboardX, which `pip install 'transformer-playground[tensorboard]'` brings.
"""

from __future__ import annotations

from tp_core import TpError
from tp_core.interfaces import BuildContext, EndEvent, EvaluationEvent, StartEvent, StepEvent
from tp_plugins.callbacks import TensorboardOptions


class Tensorboard:
    files = ("tensorboard",)

    def __init__(self, options: TensorboardOptions, ctx: BuildContext) -> None:
        self.every = options.every
        try:
            from tensorboardX import SummaryWriter
        except ModuleNotFoundError as error:
            raise TpError(
                "callback 'tensorboard' needs tensorboardX: "
                "pip install 'transformer-playground[tensorboard]'"
            ) from error
        self.make_writer = SummaryWriter

    def on_start(self, event: StartEvent) -> None:
        # What was written after the checkpoint that a resumed run goes on from is written again.
        purge = event.step + 1 if event.resumed else None
        self.writer = self.make_writer(str(event.path / "tensorboard"), purge_step=purge)

    def on_step(self, event: StepEvent) -> None:
        if event.step % self.every == 0:
            self._write("batch", event.step, {"loss": event.loss, "grad_norm": event.grad_norm})
            self._write("optimizer", event.step, {"learning_rate": event.learning_rate})
            self._write("auxiliary", event.step, dict(event.auxiliary))

    def on_evaluation(self, event: EvaluationEvent) -> None:
        for split, losses in event.losses.items():
            self._write(split, event.step, dict(losses))

    def on_end(self, event: EndEvent) -> None:
        self.writer.close()

    def _write(self, group: str, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(f"{group}/{name}", value, step)
