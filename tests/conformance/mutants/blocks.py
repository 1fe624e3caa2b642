"""Broken blocks."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from tp_core.interfaces import BuildContext, SequenceInfo, State
from tp_core.testing.minimal.block.block import Minimal


class CentresOverTime(Minimal):
    """Takes a mean over the row off each token, one that no gradient passes."""

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        return super().forward(x - 0.1 * x.mean(1, keepdim=True).detach(), seq, state)


class NoDropout(Minimal):
    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__(options, ctx)
        self.dropout = nn.Identity()
