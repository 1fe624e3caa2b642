"""Broken MLPs, and a correct one with an auxiliary loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tp_core.interfaces import BuildContext, SequenceInfo
from tp_core.testing.minimal.mlp.mlp import Minimal


class ZLoss(Minimal):
    """Keeps its output small by a loss over tokens. This one is right."""

    def forward(self, x: Tensor, seq: SequenceInfo) -> Tensor:
        y = super().forward(x)
        if self.training:
            seq.add_loss("z", 0.01 * (y.square().sum(-1) * self.weights(seq)).sum())
        return y

    def weights(self, seq: SequenceInfo) -> Tensor:
        return seq.valid.float()


class ZLossOfPads(ZLoss):
    def weights(self, seq: SequenceInfo) -> Tensor:
        return torch.ones_like(seq.valid, dtype=torch.float32)


class OwnGenerator(Minimal):
    """Starts from a seed of its own, whatever the run's is."""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__(options, ctx)
        generator = torch.Generator().manual_seed(0)
        torch.nn.init.normal_(self.up.weight, std=0.1, generator=generator)


class NumpyStart(Minimal):
    """Starts from NumPy's global generator, which nobody seeds."""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__(options, ctx)
        start = np.random.standard_normal(self.up.weight.shape)
        self.up.weight.data = torch.from_numpy(start).float()


class DropoutAlways(Minimal):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.dropout(x, 0.1))


class Double(Minimal):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).double()


class MixesRows(Minimal):
    """Tokens of other rows lend a little."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 0.01 * x.mean(0, keepdim=True))
