"""Attention with linear biases (Press et al. 2021, arXiv:2108.12409, section 3).

    logits_ij ← logits_ij − m_h·(i − j)

with one slope per head: for H a power of two, m_h = 2^(−8·h / H), h = 1..H. For other H the slopes
of the next lower power of two come first, then every second one of the next higher, as in the
authors' code.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext


def slopes(n_heads: int) -> list[float]:
    """The slope of each head, steepest first."""
    lower = 2 ** math.floor(math.log2(n_heads))
    first = [2 ** (-8 * h / lower) for h in range(1, lower + 1)]
    between = [2 ** (-4 * h / lower) for h in range(1, 2 * lower + 1, 2)]
    return (first + between)[:n_heads]


class Alibi(nn.Module):
    """Site `bias`: keys count less the further back they are."""

    slopes: Tensor

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.tensor(slopes(ctx.n_heads)), persistent=False)

    def bias(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        """fp32 [B or 1, H, T, S] from positions [B or 1, T] and [B or 1, S]."""
        distance = q_pos[:, None, :, None] - k_pos[:, None, None, :]
        return -self.slopes[:, None, None] * distance
