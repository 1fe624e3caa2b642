"""DRY, "don't repeat yourself" (p-e-w 2024, text-generation-webui #5677).

A token x that followed, earlier in the row, the same m tokens that now stand at its end would
lengthen that repeat to m + 1. For its longest one, where m ≥ `allowed_length`,

    logit(x) ← logit(x) − multiplier · base^(m − allowed_length)

The prompt counts, and a match may overlap the end. Nothing is removed: the penalty is held within
what fp32 can hold. Equal logits under equal penalties stay equal, and multiplier 0 is off.

The original ends matches at "sequence breakers", line breaks and quotes, given as text. A row here
is one phrase, begun by a start token that no match reaches beyond, so there are none.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from tp_core.interfaces import SamplerStep
from tp_plugins.samplers import DryOptions
from tp_plugins.samplers.history import penalised, repeated


class Dry:
    def __init__(self, options: DryOptions, ctx: Any) -> None:
        self.multiplier, self.base = options.multiplier, options.base
        self.allowed_length = options.allowed_length
        self.most = self.allowed_length + _turns(self.multiplier, self.base)

    def __call__(self, logits: Tensor, step: SamplerStep) -> Tensor:
        if self.multiplier == 0:
            return logits
        found = repeated(step, self.most)
        excess = (found - self.allowed_length).double()
        penalty = torch.where(excess >= 0, self.multiplier * torch.pow(self.base, excess), 0.0)
        # The longest repeat has the largest.
        largest = torch.zeros_like(logits, dtype=torch.float64)
        largest.scatter_reduce_(1, step.history[:, : found.shape[1]], penalty, "amax")
        return penalised(logits.double() - largest, logits)


def _turns(multiplier: float, base: float) -> int:
    """How many tokens beyond the allowed ones make a difference: then the penalty is all that fp32
    holds, however much longer the repeat is."""
    if multiplier == 0 or base == 1:
        return 0
    room = math.log(torch.finfo(torch.float32).max) - math.log(multiplier)
    return max(0, math.ceil(room / math.log(base)))
