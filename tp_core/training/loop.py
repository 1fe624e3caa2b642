"""The training loop.

What happens at a step depends only on its number and the config: its lines, its dropout, and
whether an evaluation, samples or a checkpoint follow. The checkpoint comes last, so a resumed run
writes the same lines as an uninterrupted one.
"""

from __future__ import annotations

import time
from typing import Any

from tp_core.evaluation.baselines import baselines
from tp_core.evaluation.metrics import labels, measure
from tp_core.interfaces.callbacks import StartEvent
from tp_core.interfaces.metrics import MetricView, SplitLosses
from tp_core.plain_data import at
from tp_core.training.session import Session
from tp_core.training.signals import Interrupts
from tp_core.training.trainer import SAMPLES, Trainer

FINAL_SAMPLES = 64  # texts the report metrics see


class Interrupted(KeyboardInterrupt):
    """Training was stopped by `signal` and saved a checkpoint; `step` is the last step taken."""

    def __init__(self, signal: int, step: int) -> None:
        super().__init__()
        self.signal, self.step = signal, step


def run_steps(session: Session) -> dict[str, Any]:
    """Train to the last step, or until a callback stops it. Returns the written summary.

    Raises `Diverged` instead of taking a non-finite step, and `Interrupted` after a signal.
    """
    config, state, callbacks = session.plan.config.train, session.state, session.callbacks
    trainer = Trainer(session)
    losses: dict[str, SplitLosses] = {}
    session.setup.model.train()
    callbacks.start(_start_event(session, trainer))
    with Interrupts() as interrupts:
        if state.first is None:
            losses = _evaluate(trainer)
        while state.step < config.max_steps and state.stopped is None:
            if interrupts.caught:
                session.save()
                session.summarise("interrupted")
                raise Interrupted(interrupts.caught, state.step)
            began = time.perf_counter()
            result = trainer.step()
            seconds = time.perf_counter() - began
            state.seconds += seconds
            callbacks.tell("on_step", trainer.step_event(result, seconds))
            state.stopped = callbacks.stop_reason()
            last = state.step == config.max_steps or state.stopped is not None
            if last or state.step % config.eval_interval == 0:
                losses = _evaluate(trainer)
                state.stopped = state.stopped or callbacks.stop_reason()
            last = last or state.stopped is not None
            if config.sample_interval and (last or state.step % config.sample_interval == 0):
                trainer.write_samples()
            if last or state.step % config.checkpoint_interval == 0:
                session.save()
    losses = losses or trainer.evaluation_losses()
    samples = trainer.sample(FINAL_SAMPLES)
    texts = [sample["text"] for sample in samples]
    view = MetricView(losses, texts, [sample["stopped"] for sample in samples])
    found = baselines(session.setup.dataset, has_eos=session.setup.model.has_eos)
    return session.summarise(
        "finished",
        baselines={name: {"val_bits_per_byte": bits} for name, bits in found.items()},
        metrics=_metrics(session, view),
        samples=texts[:SAMPLES],
    )


def _evaluate(trainer: Trainer) -> dict[str, SplitLosses]:
    """Evaluate, notify callbacks, and save the model if it is the best so far."""
    losses, event = trainer.evaluate()
    trainer.session.callbacks.tell("on_evaluation", event)
    if event.best:
        trainer.session.save(best=True)
    return losses


def _start_event(session: Session, trainer: Trainer) -> StartEvent:
    setup = session.setup
    return StartEvent(
        run_id=session.run.id,
        path=session.run.path,
        config=session.plan.config.as_data(),
        step=session.state.step,
        max_steps=session.plan.config.train.max_steps,
        resumed=session.resumed,
        parameters=sum(p.numel() for p in setup.model.parameters()),
        vocab_size=setup.dataset.tokenizer.vocab_size,
        phrases=setup.dataset.counts.used,
        device=str(setup.device),
        plugin_drift=session.plugin_drift,
        access=trainer.access(),
    )


def _metrics(session: Session, view: MetricView) -> dict[str, Any]:
    """Metrics available at the end of training; the others need a report."""
    metrics = session.setup.metrics
    names = labels([chosen for chosen, _ in metrics])
    found = {
        name: (metric, measure(chosen, metric, view))
        for name, (chosen, metric) in zip(names, metrics, strict=True)
    }
    return {name: result for name, (metric, result) in found.items() if _says(metric, result)}


def _says(metric: Any, result: dict[str, Any]) -> bool:
    """Whether any of a metric's headline values is known."""
    return any(at(result, headline.key) is not None for headline in type(metric).headline)
