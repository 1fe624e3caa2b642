"""Locally typical sampling (Meister et al. 2022, arXiv:2202.00666).

Tokens are ordered by |−log p(x) − H|: how far their surprise is from the one to expect, the entropy
H of the distribution. The first of them whose probabilities sum to at least p stay, so the most
likely token may go. At equal distance the lowest ids come first; p = 1 keeps all.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tp_plugins.samplers import TypicalOptions


class Typical:
    def __init__(self, options: TypicalOptions, ctx: Any) -> None:
        self.p = options.p

    def __call__(self, logits: Tensor) -> Tensor:
        if self.p == 1:
            return logits
        logs = logits.double().log_softmax(-1)
        probabilities = logs.exp()
        # A removed token adds 0·∞ to the entropy, which is 0.
        entropy = -(probabilities * logs).nan_to_num(0.0).sum(-1, keepdim=True)
        order = (-logs - entropy).abs().sort(dim=-1, stable=True).indices
        sorted_probabilities = probabilities.gather(-1, order)
        before = sorted_probabilities.cumsum(-1) - sorted_probabilities
        removed = torch.zeros_like(logits, dtype=torch.bool)
        removed.scatter_(-1, order, before >= self.p)
        return logits.masked_fill(removed, -torch.inf)
