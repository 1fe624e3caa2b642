"""Losses in trackio: those of steps under `batch`, those of evaluations under their split."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import Any

import trackio

from tp_core.interfaces import BuildContext, EndEvent, EvaluationEvent, StartEvent, StepEvent
from tp_trackio import TrackioOptions


class Trackio:
    def __init__(self, options: TrackioOptions, ctx: BuildContext) -> None:
        self.options = options

    def on_start(self, event: StartEvent) -> None:
        with _stdout_kept():
            trackio.init(
                project=self.options.project,
                name=event.run_id,
                config=dict(event.config),
                resume="allow" if event.resumed else "never",
                embed=False,
            )

    def on_step(self, event: StepEvent) -> None:
        if event.step % self.options.every == 0:
            figures = {
                "loss": event.loss,
                "bits_per_byte": event.bits_per_byte,
                "learning_rate": event.learning_rate,
                "grad_norm": event.grad_norm,
                **event.auxiliary,
            }
            _send("batch", figures, event.step)

    def on_evaluation(self, event: EvaluationEvent) -> None:
        for split, losses in event.losses.items():
            _send(split, losses, event.step)

    def on_end(self, event: EndEvent) -> None:
        with _stdout_kept():
            trackio.finish()


def _send(group: str, figures: Mapping[str, Any], step: int) -> None:
    trackio.log({f"{group}/{name}": value for name, value in figures.items()}, step=step)


def _stdout_kept() -> contextlib.AbstractContextManager[Any]:
    """trackio greets on stdout, which is for what `tp` prints."""
    return contextlib.redirect_stdout(sys.stderr)
