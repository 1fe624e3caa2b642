"""A tiny training played at a callback: a model that learns, and events as the loop tells them.

The weights are those of a real model and optimizer. The losses that events tell of are written out,
so that a callback that goes by them has something to go by: the training loss falls, the validation
loss stalls.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tp_core.interfaces.callbacks import (
    CheckpointEvent,
    EndEvent,
    EvaluationEvent,
    StartEvent,
    StepEvent,
    TrainingAccess,
)
from tp_core.model.decoder import Decoder
from tp_core.testing.forward_passes import training
from tp_core.testing.generators import drawing_from
from tp_core.testing.harness import Harness
from tp_core.testing.inputs import LENGTH, VOCAB, full_rows, some_tokens

STEPS = 12
CHECKPOINT_INTERVAL = 4
_ROWS = 3
_VAL = (3.4, 3.0, 3.2, 3.1, 3.3, 3.2, 3.05)  # after every other step, from the start on


@dataclass
class CallbackRun:
    """One training with the callback in it, in a run directory of its own.

    Two that differ in `pace` take other times over the same things. `checkpoints` are those saved,
    by step, as the bytes of a file.
    """

    harness: Harness
    path: Path
    pace: float = 1.0
    lines: list[dict[str, Any]] = field(default_factory=list)
    saved: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    checkpoints: dict[int, bytes] = field(default_factory=dict)
    step: int = 0
    stopped: str | None = None
    best: float | None = None

    def __post_init__(self) -> None:
        (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
        self.model: Decoder = self.harness.build_model().train()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.callback = self.harness.build_component()

    def tell(self, method: str, *args: Any) -> Any:
        """Call a method of the callback, where it has it."""
        bound = getattr(self.callback, method, None)
        return None if bound is None else bound(*args)

    def play(self) -> CallbackRun:
        """From the step it is at to the last one, or until it is stopped."""
        self.tell("on_start", self._start())
        if not self.step:
            self._evaluate()
        while self.step < STEPS and self.stopped is None:
            self._step()
            complete = self.step == STEPS
            self.stopped = None if complete else self.tell("should_stop")
            if complete or self.stopped is not None or self.step % 2 == 0:
                self._evaluate()
                self.stopped = None if complete else self.stopped or self.tell("should_stop")
            if complete or self.stopped is not None or self.step % CHECKPOINT_INTERVAL == 0:
                self._checkpoint()
        self.tell("on_end", EndEvent(self.step, "finished", {"step": self.step}))
        return self

    def resume(self, checkpoint: bytes) -> CallbackRun:
        """Go on from a checkpoint of another run, to the end."""
        kept = self.read(checkpoint)
        self.model.load_state_dict(kept["model"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.step, self.stopped, self.best = kept["step"], kept["stopped"], kept["best"]
        self.lines = list(kept["lines"])
        if "callback" in kept:
            self.tell("load_state_dict", kept["callback"])
        return self.play()

    @staticmethod
    def read(checkpoint: bytes) -> dict[str, Any]:
        kept: dict[str, Any] = torch.load(io.BytesIO(checkpoint), weights_only=True)
        return kept

    def outcome(self) -> dict[str, object]:
        """What came of it: when it stopped, what was logged and saved, weights, state, by name."""
        state = self.tell("state_dict")
        found = {
            "stopped": [self.step, self.stopped],
            "lines": self.lines,
            "saved": self.saved,
            "state": state,
            "weights": self.model.state_dict(),
        }
        return dict(leaves(found))

    def access(self) -> TrainingAccess:
        return TrainingAccess(
            model=self.model,
            optimizer=self.optimizer,
            evaluate=self._measure,
            log=lambda split, values: self.lines.append(
                {"step": self.step, "split": split, **values}
            ),
            save=self._save,
        )

    def _start(self) -> StartEvent:
        sees_model = any(getattr(self.callback, name, False) for name in ("acts", "reads_model"))
        return StartEvent(
            run_id=self.path.name,
            path=self.path,
            config=self.harness.plan.config.as_data(),
            step=self.step,
            max_steps=STEPS,
            resumed=self.step > 0,
            parameters=sum(p.numel() for p in self.model.parameters()),
            vocab_size=VOCAB,
            phrases={"train": 100, "val": 10, "test": 10},
            device="cpu",
            access=self.access() if sees_model else None,
        )

    def _step(self) -> None:
        tokens = some_tokens(_ROWS, purpose=f"step {self.step}")
        with drawing_from(self.step):
            loss = self.model.loss(tokens, (tokens + 1) % VOCAB, full_rows(_ROWS))
            torch.autograd.backward(loss / (_ROWS * LENGTH))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        told = 3.5 * 0.9**self.step
        event = StepEvent(
            step=self.step,
            max_steps=STEPS,
            epoch=self.step / STEPS,
            tokens=self.step * _ROWS * LENGTH,
            batch_tokens=_ROWS * LENGTH,
            loss=told,
            bits_per_byte=told / 2,
            auxiliary={"balance": 0.01},
            learning_rate=0.01,
            grad_norm=1.0 + 1 / self.step,
            seconds=0.01 * self.pace,
        )
        self.tell("on_step", event)

    def _evaluate(self) -> None:
        val = _VAL[-(-self.step // 2)]
        best = self.best is None or val < self.best
        if best:
            self.best = val
        event = EvaluationEvent(
            step=self.step,
            max_steps=STEPS,
            epoch=self.step / STEPS,
            tokens=self.step * _ROWS * LENGTH,
            losses={
                "train": {"loss": val - 0.1, "bits_per_byte": val / 2 - 0.05},
                "val": {"loss": val, "bits_per_byte": val / 2},
            },
            best=best,
            tokens_per_second=1000 / self.pace if self.step else None,
            seconds=0.02 * self.pace,
            memory_mib=None,
        )
        self.tell("on_evaluation", event)
        if best:
            self._told_of_checkpoint("best_val.pt")

    def _checkpoint(self) -> None:
        kept = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "stopped": self.stopped,
            "best": self.best,
            "lines": self.lines,
        }
        if hasattr(self.callback, "state_dict"):
            kept["callback"] = self.tell("state_dict")
        file = io.BytesIO()
        torch.save(kept, file)
        self.checkpoints[self.step] = file.getvalue()
        self._told_of_checkpoint("last.pt")

    def _told_of_checkpoint(self, name: str) -> None:
        self.tell("on_checkpoint", CheckpointEvent(self.step, self.path / "checkpoints" / name))

    def _measure(self) -> dict[str, dict[str, float]]:
        found = {}
        for split in ("train", "val"):
            tokens = some_tokens(_ROWS, purpose=split)
            with training(self.model), torch.no_grad():
                self.model.eval()
                total = float(self.model.loss(tokens, (tokens + 1) % VOCAB, full_rows(_ROWS)))
            loss = total / (_ROWS * LENGTH)
            found[split] = {"loss": loss, "bits_per_byte": loss / 2}
        return found

    def _save(self, name: str) -> None:
        self.saved[name] = {k: v.clone() for k, v in self.model.state_dict().items()}
        (self.path / "checkpoints" / f"{name}.pt").write_bytes(b"weights")


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """What isn't a dict or a list in nested data, each by the path to it."""
    if isinstance(value, Mapping):
        items = [(str(key), one) for key, one in value.items()]
    elif isinstance(value, (list, tuple)):
        items = [(str(index), one) for index, one in enumerate(value)]
    else:
        yield path, value
        return
    for key, one in items:
        yield from leaves(one, f"{path} {key}".strip())


def first_difference(one: Mapping[str, object], other: Mapping[str, object]) -> str:
    """The first path at which two outcomes differ; empty where they don't."""
    for name in (*one, *other):
        if name not in one or name not in other:
            return name
        a, b = one[name], other[name]
        tensors = isinstance(a, Tensor) and isinstance(b, Tensor)
        if not (torch.equal(a, b) if tensors else type(a) is type(b) and a == b):  # type: ignore[arg-type]
            return name
    return ""
