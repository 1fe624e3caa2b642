"""A recurrent attention, and what may go wrong with its state."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, SequenceInfo, State


class Recurrent(nn.Module):
    """s_t = s_{t−1} / 2 + V·x_t, from 0 at the start of each document. This one is right."""

    resets = carries = skips_idle = True

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__()
        self.value = ctx.linear(ctx.dim, ctx.dim)
        self.out = ctx.linear(ctx.dim, ctx.dim, residual=True)

    def init_state(self, batch: int, device: torch.device) -> State:
        return {"sum": torch.zeros(batch, self.out.in_features, device=device)}

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        values = self.value(x)
        total = torch.zeros_like(x[:, 0]) if state is None else self.read(state)
        sums = []
        for step in range(x.shape[1]):
            start = (seq.positions[:, step] == 0)[:, None] & self.resets
            now = torch.where(start, 0.0, total) / 2 + values[:, step]
            active = seq.valid[:, step, None] | (not self.skips_idle)
            total = torch.where(active, now, total)
            sums.append(total)
        if state is not None and self.carries:
            state = self.write(state, total)
        return self.out(torch.stack(sums, 1)), state

    def read(self, state: State) -> Tensor:
        total = state["sum"]
        assert isinstance(total, Tensor)
        return total

    def write(self, state: State, total: Tensor) -> State:
        return {"sum": total}


class DropsState(Recurrent):
    carries = False


class NeverResets(Recurrent):
    resets = False


class CountsIdleSteps(Recurrent):
    skips_idle = False


class BatchLast(Recurrent):
    """Rows of the batch on the last dim of the state."""

    def init_state(self, batch: int, device: torch.device) -> State:
        return {"sum": torch.zeros(self.out.in_features, batch, device=device)}

    def read(self, state: State) -> Tensor:
        return super().read(state).transpose(0, 1)

    def write(self, state: State, total: Tensor) -> State:
        return {"sum": total.transpose(0, 1)}


class FixedStateType(Recurrent):
    """Writes what autocast made into a tensor of another type."""

    def write(self, state: State, total: Tensor) -> State:
        rows = torch.arange(len(total))
        self.read(state)[rows] = self.value(total)
        return super().write(state, total)
