"""Write `metrics.jsonl`: one line per step, two per evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tp_core.interfaces.callbacks import EvaluationEvent, StepEvent
from tp_core.runs.jsonl import JsonlWriter


class MetricsLog:
    """The callback that writes `metrics.jsonl`.

    A step's line has split `batch`: its loss is that of the training batch, with dropout, unlike
    an evaluation on split `train`.
    """

    acts = True

    def __init__(self, writer: JsonlWriter) -> None:
        self._writer = writer

    def on_step(self, event: StepEvent) -> None:
        self._writer.write(
            {
                **_head(event, "batch"),
                "loss": event.loss,
                "bits_per_byte": event.bits_per_byte,
                **({"auxiliary": event.auxiliary} if event.auxiliary else {}),
                "learning_rate": event.learning_rate,
                "grad_norm": event.grad_norm,
                "perf": {
                    "seconds": round(event.seconds, 6),
                    "tokens_per_second": round(event.batch_tokens / event.seconds, 1),
                },
            }
        )

    def on_evaluation(self, event: EvaluationEvent) -> None:
        perf = {"seconds": round(event.seconds, 6), "memory_mib": event.memory_mib}
        for split, losses in event.losses.items():
            self._writer.write({**_head(event, split), **losses, "perf": perf})


def _head(event: StepEvent | EvaluationEvent, split: str) -> Mapping[str, Any]:
    return {"step": event.step, "tokens": event.tokens, "epoch": event.epoch, "split": split}
