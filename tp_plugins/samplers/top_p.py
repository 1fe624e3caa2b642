"""Nucleus sampling (Holtzman et al. 2019, arXiv:1904.09751, equation 2).

The smallest set of most likely tokens whose probabilities sum to at least p stays. Among equally
likely tokens those with the lowest ids come first; p = 1 keeps all.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tp_plugins.samplers import TopPOptions


class TopP:
    def __init__(self, options: TopPOptions, ctx: Any) -> None:
        self.p = options.p

    def __call__(self, logits: Tensor) -> Tensor:
        if self.p == 1:
            return logits
        values, order = logits.sort(dim=-1, descending=True, stable=True)
        probabilities = values.double().softmax(-1)
        before = probabilities.cumsum(-1) - probabilities
        removed = torch.zeros_like(logits, dtype=torch.bool)
        removed.scatter_(-1, order, before >= self.p)
        return logits.masked_fill(removed, -torch.inf)
