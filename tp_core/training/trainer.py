"""The operations of a training: steps, evaluations and samples."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tp_core.assembly.attribution import attribute_errors
from tp_core.assembly.output_contracts import FINITE
from tp_core.assembly.watched_outputs import checked_outputs
from tp_core.data.batches import eval_batches
from tp_core.data.layouts import Batch
from tp_core.errors import Diverged, RunFailed, TpError
from tp_core.evaluation.losses import measure_losses
from tp_core.generation.generate import NotFinite, generate
from tp_core.interfaces.callbacks import EvaluationEvent, StepEvent, TrainingAccess
from tp_core.interfaces.metrics import SplitLosses, bits_per_byte
from tp_core.model.batch import on_device
from tp_core.model.device import peak_memory_mib, seed_dropout
from tp_core.training.session import Session

SAMPLES = 5  # texts in samples.jsonl each time
_NLL = ""  # the name of the likelihood's loss beside the auxiliary ones


@dataclass(frozen=True)
class StepResult:
    """The result of one optimizer step: loss in nats per token, bits per byte, auxiliary losses per
    token, the gradient norm before clipping, and the number of target tokens."""

    loss: float
    bits_per_byte: float
    auxiliary: dict[str, float]
    grad_norm: float
    tokens: int


class Trainer:
    """A session's model in training."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.config = session.plan.config
        self.setup = session.setup
        self.state = session.state
        model, dataset = self.setup.model, self.setup.dataset
        self.parameters = list(model.parameters())
        self.after_step: list[Any] = [
            m.after_step for m in model.modules() if hasattr(m, "after_step")
        ]
        compiled = self.config.train.compile
        self.loss = torch.compile(model.loss, dynamic=True) if compiled else model.loss
        # If a micro-batch fits in memory, as many lines of an evaluation do too.
        size = -(-self.config.train.batch_size // self.config.train.grad_accumulation)
        if self.config.data.layout == "packed":
            longest = max(int(s.lengths.max()) for s in (dataset.train, dataset.val))
            size = size * self.config.model.max_seq_len // longest
        most = self.config.eval.max_lines
        self.eval_batches = {
            "train": eval_batches(dataset.train, size, min(most, len(dataset.val))),
            "val": eval_batches(dataset.val, size, most),
        }

    def step(self) -> StepResult:
        """Take one optimizer step."""
        try:
            with attribute_errors(self.setup.built):
                return self._step()
        except torch.OutOfMemoryError as error:
            raise RunFailed(
                f"step {self.state.step + 1}: out of memory on {self.setup.device}: increase "
                "train.grad_accumulation (same results, less memory) or reduce train.batch_size"
            ) from error
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RunFailed(
                f"torch.compile failed: {reason}\n  set train.compile = false to train without it"
            ) from error

    def _step(self) -> StepResult:
        setup, step = self.setup, self.state.step
        train = self.config.train
        micro_batches: Sequence[Batch] = setup.data_loader.micro_batches(
            step, train.grad_accumulation
        )
        # Divided by the tokens of the whole step: the number of micro-batches makes no difference.
        n_targets = sum(one.n_targets for one in micro_batches)
        n_bytes = sum(one.n_bytes for one in micro_batches)
        totals: dict[str, Tensor] = {}
        for index, one in enumerate(micro_batches):
            seed_dropout(train.seed, step, index)
            losses = self._losses(one)
            nll, *others = losses.values()
            torch.autograd.backward(sum(others, nll) / n_targets)
            for name, value in losses.items():
                totals[name] = totals.get(name, 0) + value.detach()
        limit = train.grad_clip or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, limit))
        means = {name: float(value) / n_targets for name, value in totals.items()}
        if not all(map(math.isfinite, (norm, *means.values()))):
            raise Diverged(
                f"step {step + 1}: the loss is {means[_NLL]:.4g} and the gradient norm {norm:.4g}; "
                f"the step was not applied.{self._first_not_finite(micro_batches)} "
                "Try a lower train.learning_rate or more warmup"
            )
        factor = self._factor()
        for group in setup.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        setup.optimizer.step()
        setup.optimizer.zero_grad(set_to_none=True)
        for hook in self.after_step:
            hook()
        self.state.step += 1
        self.state.tokens += n_targets
        loss = means.pop(_NLL)
        return StepResult(
            loss=loss,
            bits_per_byte=bits_per_byte(loss * n_targets, n_bytes),
            auxiliary=means,
            grad_norm=norm,
            tokens=n_targets,
        )

    def _factor(self) -> float:
        """The schedule's factor on the peak learning rates at this step."""
        factor: object = self.setup.schedule.factor(self.state.step, self.config.train.max_steps)
        if not isinstance(factor, (int, float)) or not math.isfinite(factor):
            name = self.setup.plan.schedule.name
            raise TpError(
                f"schedule '{name}' returned {factor!r} for step {self.state.step + 1}, "
                "not a finite number"
            )
        return factor

    def _losses(self, micro_batch: Batch) -> dict[str, Tensor]:
        """The losses of a micro-batch by name, summed over its tokens; likelihood first."""
        tokens, targets, seq = on_device(micro_batch, self.setup.device)
        with self.setup.autocast():
            nll = self.loss(tokens, targets, seq)
        return {_NLL: nll, **seq.losses}

    def _first_not_finite(self, micro_batches: Sequence[Batch]) -> str:
        """Find the first component with a non-finite output by repeating the forward pass."""
        loss, self.loss = self.loss, self.setup.model.loss
        try:
            with torch.no_grad(), checked_outputs(self.setup.model.built, FINITE):
                for index, one in enumerate(micro_batches):
                    seed_dropout(self.config.train.seed, self.state.step, index)
                    self._losses(one)
        except TpError as fault:
            return f" First non-finite output: {fault}."
        finally:
            self.loss = loss
        return ""

    @property
    def epoch(self) -> float:
        return round(self.state.step / self.setup.data_loader.steps_per_epoch, 4)

    def step_event(self, result: StepResult, seconds: float) -> StepEvent:
        """The event that callbacks receive for a step."""
        return StepEvent(
            step=self.state.step,
            max_steps=self.config.train.max_steps,
            epoch=self.epoch,
            tokens=self.state.tokens,
            batch_tokens=result.tokens,
            loss=result.loss,
            bits_per_byte=result.bits_per_byte,
            auxiliary=result.auxiliary,
            learning_rate=self.setup.optimizer.param_groups[0]["lr"],
            grad_norm=result.grad_norm,
            seconds=seconds,
        )

    def evaluation_losses(self) -> dict[str, SplitLosses]:
        """Losses on the fixed training subset and on the validation lines."""
        setup, dataset = self.setup, self.setup.dataset
        splits = {"train": dataset.train, "val": dataset.val}
        return {
            name: measure_losses(
                setup.model, dataset.tokenizer, split, self.eval_batches[name], setup.autocast
            )
            for name, split in splits.items()
        }

    def evaluate(self) -> tuple[dict[str, SplitLosses], EvaluationEvent]:
        """Evaluate both splits, and record whether the model is the best so far."""
        began = time.perf_counter()
        losses = self.evaluation_losses()
        seconds = time.perf_counter() - began
        figures = self.figures(losses)
        state = self.state
        mark = {"step": state.step, **figures["val"]}
        state.first = state.first or mark
        state.latest = mark
        best = state.best is None or mark["loss"] < state.best["loss"]
        if best:
            state.best = mark
        event = EvaluationEvent(
            step=state.step,
            max_steps=self.config.train.max_steps,
            epoch=self.epoch,
            tokens=state.tokens,
            losses=figures,
            best=best,
            tokens_per_second=state.tokens / state.seconds if state.seconds else None,
            seconds=seconds,
            memory_mib=peak_memory_mib(self.setup.device),
        )
        return losses, event

    def figures(self, losses: Mapping[str, SplitLosses]) -> dict[str, dict[str, float]]:
        """Loss and bits per byte by split. Raises `Diverged` if one isn't finite."""
        found = {}
        for name, split in losses.items():
            loss, bits = split.loss, split.bits_per_byte
            if loss is None or bits is None or not math.isfinite(loss):
                raise Diverged(f"step {self.state.step}: the {name} loss is not finite")
            found[name] = {"loss": loss, "bits_per_byte": bits}
        return found

    def access(self) -> TrainingAccess:
        """Access to the training, for callbacks that act on it."""
        return TrainingAccess(
            model=self.setup.model,
            optimizer=self.setup.optimizer,
            evaluate=lambda: self.figures(self.evaluation_losses()),
            log=self._log,
            save=self.session.save_as,
        )

    def _log(self, split: str, values: Mapping[str, Any]) -> None:
        head = {"step": self.state.step, "tokens": self.state.tokens, "epoch": self.epoch}
        self.session.metrics.write({**head, "split": split, **values})

    def sample(self, count: int) -> list[dict[str, Any]]:
        """Unconditional samples from the current model, always from the same random streams."""
        setup, sampling = self.setup, self.config.sampling
        try:
            continuations = generate(
                setup.model,
                setup.chain,
                setup.dataset.tokenizer,
                [[]] * count,
                max_new_tokens=sampling.max_new_tokens,
                seed=self.config.train.seed,
                autocast=setup.autocast,
            )
        except NotFinite as error:
            raise Diverged(f"step {self.state.step}: {error}") from error
        decode = setup.dataset.tokenizer.decode
        return [
            {"step": self.state.step, "row": c.row, "text": decode(c.tokens), "stopped": c.stopped}
            for c in continuations
        ]

    def write_samples(self) -> None:
        for sample in self.sample(SAMPLES):
            self.session.samples.write(sample)
