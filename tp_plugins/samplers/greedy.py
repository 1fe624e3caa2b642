"""Greedy decoding: the most likely token, and of equally likely ones the one with the lowest id."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def keep_best(logits: Tensor) -> Tensor:
    """Logits [B, V] with all but the largest of each row removed."""
    best = logits == logits.amax(-1, keepdim=True)
    ids = torch.arange(logits.shape[-1], device=logits.device)
    first = torch.where(best, ids, logits.shape[-1]).amin(-1, keepdim=True)
    return logits.masked_fill(ids != first, -torch.inf)


class Greedy:
    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def __call__(self, logits: Tensor) -> Tensor:
        return keep_best(logits)
