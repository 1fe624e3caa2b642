"""No repeated n-grams (Paulus et al. 2017, arXiv:1705.04304, section 2.5).

Every token that followed, earlier in the row, the same n − 1 tokens that now stand at its end is
removed, so that no n tokens come in the same order twice; n = 1 removes every token that stands in
the row. The prompt counts. Logits play no part, so there are no ties. Where no token would be left,
the row stays as it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tp_core.interfaces import SamplerStep
from tp_plugins.samplers import NoRepeatNgramOptions
from tp_plugins.samplers.history import repeated


class NoRepeatNgram:
    def __init__(self, options: NoRepeatNgramOptions, ctx: Any) -> None:
        self.n = options.n

    def __call__(self, logits: Tensor, step: SamplerStep) -> Tensor:
        found = repeated(step, most=self.n - 1)
        width = found.shape[1]
        index = torch.arange(width, device=logits.device)
        repeats = (found == self.n - 1) & (index < step.lengths[:, None])
        count = torch.zeros_like(logits).scatter_add_(
            1, step.history[:, :width], repeats.to(logits.dtype)
        )
        left = logits.masked_fill(count > 0, -torch.inf)
        nothing = left.isneginf().all(-1, keepdim=True)
        return torch.where(nothing, logits, left)
