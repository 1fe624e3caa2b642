"""Min-p sampling (Nguyen et al. 2024, arXiv:2407.01082).

Tokens stay whose probability is at least p times the largest one. Equally likely tokens share their
fate, and the most likely ones always stay; p = 0 keeps all.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tp_plugins.samplers import MinPOptions


class MinP:
    def __init__(self, options: MinPOptions, ctx: Any) -> None:
        self.p = options.p

    def __call__(self, logits: Tensor) -> Tensor:
        # Of two probabilities only the ratio counts, so there is nothing to normalise.
        ratio = (logits.double() - logits.amax(-1, keepdim=True)).exp()
        return logits.masked_fill(ratio < self.p, -torch.inf)
