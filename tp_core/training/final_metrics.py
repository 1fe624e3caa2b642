"""What a training's summary says at its end: baselines, metrics, and a few samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tp_core.evaluation.baselines import baselines
from tp_core.evaluation.metrics import labels, measure
from tp_core.interfaces.metrics import MetricView, SplitLosses
from tp_core.plain_data import at
from tp_core.training.session import Session
from tp_core.training.trainer import SAMPLES, Trainer

FINAL_SAMPLES = 64  # texts the metrics see


def final_metrics(trainer: Trainer, losses: Mapping[str, SplitLosses]) -> dict[str, Any]:
    """The entries of the summary, given the losses of the last evaluation."""
    session = trainer.session
    samples = trainer.sample(FINAL_SAMPLES)
    texts = [sample["text"] for sample in samples]
    view = MetricView(losses, texts, [sample["stopped"] for sample in samples])
    found = baselines(session.setup.dataset, has_eos=session.setup.model.has_eos)
    return {
        "baselines": {name: {"val_bits_per_byte": bits} for name, bits in found.items()},
        "metrics": _metrics(session, view),
        "samples": texts[:SAMPLES],
    }


def _metrics(session: Session, view: MetricView) -> dict[str, Any]:
    """What samples and likelihood tell already; the rest, which would be null, is for a report."""
    metrics = session.setup.metrics
    names = labels([chosen for chosen, _ in metrics])
    found = {
        name: (metric, measure(chosen, metric, view))
        for name, (chosen, metric) in zip(names, metrics, strict=True)
    }
    return {name: result for name, (metric, result) in found.items() if _says(metric, result)}


def _says(metric: Any, result: dict[str, Any]) -> bool:
    """Whether one of a metric's headline values is known."""
    return any(at(result, headline.key) is not None for headline in type(metric).headline)
