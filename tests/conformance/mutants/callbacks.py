"""Broken callbacks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tp_core.interfaces import BuildContext, EndEvent, StartEvent, StepEvent
from tp_core.testing.minimal.callback.callback import Minimal
from tp_plugins.callbacks.ema import Ema


class Curve:
    """A correct one that watches: the losses, in a file of its own."""

    files = ("curve.txt",)

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        self.losses: list[float] = []

    def on_start(self, event: StartEvent) -> None:
        self.path = event.path

    def on_step(self, event: StepEvent) -> None:
        self.losses.append(event.loss)

    def on_end(self, event: EndEvent) -> None:
        (self.path / "curve.txt").write_text("\n".join(map(str, self.losses)))

    def state_dict(self) -> dict[str, Any]:
        return {"losses": list(self.losses)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.losses = list(state["losses"])


class MisspeltEvent(Curve):
    def on_setp(self, event: StepEvent) -> None:
        self.losses.append(0.0)


class StopsWhileWatching(Curve):
    def should_stop(self) -> str | None:
        return None


class KeepsASet(Curve):
    def state_dict(self) -> dict[str, Any]:
        return {"losses": list(self.losses), "seen": set(self.losses)}


class ForgetsItsState(Minimal):
    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class UnkeptCounter(Minimal):
    """Stops after six steps, by a count that isn't part of its state."""

    steps = 0

    def on_step(self, event: StepEvent) -> None:
        super().on_step(event)
        self.steps += 1

    def should_stop(self) -> str | None:
        return "six steps" if self.steps == 6 else None


class StopsByChance(Minimal):
    def should_stop(self) -> str | None:
        return f"the dice say {random.random()}"


class StopsByTheClock(Minimal):
    def on_step(self, event: StepEvent) -> None:
        super().on_step(event)
        self.slow = event.seconds > 1

    def should_stop(self) -> str | None:
        return "it takes too long" if self.slow else None


class ChangesWeights(Curve):
    reads_model = True

    def on_start(self, event: StartEvent) -> None:
        super().on_start(event)
        assert event.access is not None
        self.model = event.access.model

    @torch.no_grad()
    def on_step(self, event: StepEvent) -> None:
        for parameter in self.model.parameters():
            parameter.clamp_(-1, 1)


class DrawsNumbers(Curve):
    def on_step(self, event: StepEvent) -> None:
        self.losses.append(event.loss + 0.01 * float(torch.rand(())))


class NeverRestores(Ema):
    """The averaged weights stay in the model once they were evaluated."""

    @contextmanager
    @torch.no_grad()
    def _in_place(self) -> Iterator[None]:
        torch._foreach_copy_(self.parameters, list(self.average.values()))
        yield


class UndeclaredFile(Curve):
    def on_end(self, event: EndEvent) -> None:
        super().on_end(event)
        (self.path / "last.txt").write_text(str(self.losses[-1]))


class FileBeside(Curve):
    def on_end(self, event: EndEvent) -> None:
        super().on_end(event)
        (self.path.parent / "curves.txt").write_text(str(self.losses))
