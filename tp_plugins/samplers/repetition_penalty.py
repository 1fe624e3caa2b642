"""Repetition penalty (Keskar et al. 2019, CTRL, arXiv:1909.05858, section 4.1).

Logits of tokens that already stand in the row, prompt included, are made less likely: divided by
`penalty` where positive, multiplied by it where negative. How often they stand there makes no
difference, nothing is removed, equal logits stay equal, and 1 changes nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tp_core.interfaces import SamplerStep
from tp_plugins.samplers import RepetitionPenaltyOptions
from tp_plugins.samplers.history import penalised


class RepetitionPenalty:
    def __init__(self, options: RepetitionPenaltyOptions, ctx: Any) -> None:
        self.penalty = options.penalty

    def __call__(self, logits: Tensor, step: SamplerStep) -> Tensor:
        index = torch.arange(step.history.shape[1], device=logits.device)
        counts = (index < step.lengths[:, None]).to(logits.dtype)
        seen = torch.zeros_like(logits).scatter_add_(1, step.history, counts) > 0
        values = logits.double()
        changed = torch.where(values > 0, values / self.penalty, values * self.penalty)
        return torch.where(seen, penalised(changed, logits), logits)
