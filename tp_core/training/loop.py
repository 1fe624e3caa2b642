"""The training loop.

What happens at a step is a function of its number and the config alone: the lines it sees, what
dropout drops, whether it is followed by an evaluation, samples, a checkpoint. A checkpoint comes
last of these, so a run resumed from it writes the same lines as one left alone.
"""

from __future__ import annotations

import time
from typing import Any

from tp_core.evaluation.baselines import baselines
from tp_core.evaluation.metrics import labels, measure
from tp_core.interfaces.metrics import MetricView, SplitLosses
from tp_core.plain_data import at
from tp_core.training.progress import ProgressDisplay
from tp_core.training.session import Session
from tp_core.training.signals import Interrupts
from tp_core.training.trainer import SAMPLES, Trainer

FINAL_SAMPLES = 64  # texts the report metrics see


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, and did, with a checkpoint; `signal` is who asked."""

    def __init__(self, signal: int) -> None:
        super().__init__()
        self.signal = signal


def train(session: Session, progress: ProgressDisplay) -> dict[str, Any]:
    """Train to the last step and return the summary that was written.

    Raises `Diverged` before a non-finite step is taken, and `Interrupted` after a signal.
    """
    config, state = session.plan.config.train, session.state
    trainer = Trainer(session)
    losses: dict[str, SplitLosses] = {}
    session.setup.model.train()
    with Interrupts() as interrupts:
        if state.first is None:
            losses = trainer.evaluate(progress)
        while state.step < config.max_steps:
            if interrupts.caught:
                session.save()
                session.summarise("interrupted")
                raise Interrupted(interrupts.caught)
            began = time.perf_counter()
            result = trainer.step()
            seconds = time.perf_counter() - began
            state.seconds += seconds
            trainer.write_step(result, seconds)
            progress.step(state.step, result.loss, result.tokens / seconds)
            last = state.step == config.max_steps
            if last or state.step % config.eval_interval == 0:
                losses = trainer.evaluate(progress)
            if config.sample_interval and (last or state.step % config.sample_interval == 0):
                trainer.write_samples()
            if last or state.step % config.checkpoint_interval == 0:
                session.save()
    losses = losses or trainer.evaluation_losses()
    samples = trainer.sample(FINAL_SAMPLES)
    texts = [sample["text"] for sample in samples]
    view = MetricView(losses, texts, [sample["stopped"] for sample in samples])
    baseline_bits = baselines(session.setup.dataset, has_eos=session.setup.model.has_eos)
    return session.summarise(
        "finished",
        baselines={name: {"val_bits_per_byte": bits} for name, bits in baseline_bits.items()},
        metrics=_metrics(session, view),
        samples=texts[:SAMPLES],
    )


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
