"""Top-k sampling (Fan et al. 2018, arXiv:1805.04833).

Exactly k tokens stay (all, if there are fewer); of equally likely ones, those with the lowest ids.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tp_plugins.samplers import TopKOptions


class TopK:
    def __init__(self, options: TopKOptions, ctx: Any) -> None:
        self.k = options.k

    def __call__(self, logits: Tensor) -> Tensor:
        order = logits.sort(dim=-1, descending=True, stable=True).indices
        removed = torch.zeros_like(logits, dtype=torch.bool)
        removed.scatter_(-1, order[:, self.k :], True)
        return logits.masked_fill(removed, -torch.inf)
