"""The training loop.

What happens at a step is a function of its number and the config alone: the lines it sees, what
dropout drops, whether it is followed by an evaluation, samples, a checkpoint. A checkpoint comes
last of these, so a run resumed from it writes the same lines as one left alone.
"""

from __future__ import annotations

import time
from typing import Any

from tp_core.interfaces.callbacks import StartEvent
from tp_core.interfaces.metrics import SplitLosses
from tp_core.training.final_metrics import final_metrics
from tp_core.training.session import Session
from tp_core.training.signals import Interrupts
from tp_core.training.trainer import Trainer


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, and did, with a checkpoint; `signal` is who asked,
    `step` the last one taken."""

    def __init__(self, signal: int, step: int) -> None:
        super().__init__()
        self.signal, self.step = signal, step


def run_steps(session: Session) -> dict[str, Any]:
    """Train to the last step, or until a callback stops it; the summary that was written.

    Raises `Diverged` before a non-finite step is taken, and `Interrupted` after a signal.
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
                raise Interrupted(interrupts.caught, state.step)
            began = time.perf_counter()
            result = trainer.step()
            seconds = time.perf_counter() - began
            state.seconds += seconds
            callbacks.tell("on_step", trainer.step_event(result, seconds))
            complete = state.step == config.max_steps
            # What ends by itself is not stopped.
            state.stopped = None if complete else callbacks.stop_reason()
            if complete or state.stopped or state.step % config.eval_interval == 0:
                losses = _evaluate(trainer)
                state.stopped = None if complete else state.stopped or callbacks.stop_reason()
            last = complete or state.stopped is not None
            if config.sample_interval and (last or state.step % config.sample_interval == 0):
                trainer.write_samples()
            if last or state.step % config.checkpoint_interval == 0:
                session.save()
    losses = losses or trainer.evaluation_losses()
    return session.summarise("finished", **final_metrics(trainer, losses))


def _evaluate(trainer: Trainer) -> dict[str, SplitLosses]:
    """Evaluate, tell callbacks of it, and keep the model if it is the best so far."""
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
