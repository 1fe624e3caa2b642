"""Sinusoidal positions (Vaswani et al. 2017, arXiv:1706.03762, sections 3.4 and 3.5).

    x_n ← √D·x_n + P_n,   P[n, 2i] = sin(n / 10000^(2i/D)),   P[n, 2i+1] = cos(n / 10000^(2i/D))

The factor √D keeps the small start values of an embedding from drowning in P.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, SequenceInfo
from tp_plugins.positional_encodings import SinusoidalOptions


class Sinusoidal(nn.Module):
    """Site `embed`: adds a fixed wave pattern to each token's embedding."""

    table: Tensor

    def __init__(self, options: SinusoidalOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.scale = math.sqrt(ctx.d_model)
        even = torch.arange(0, ctx.d_model, 2, dtype=torch.float64)
        positions = torch.arange(ctx.max_seq_len, dtype=torch.float64)
        angles = torch.outer(positions, options.base ** (-even / ctx.d_model))
        waves = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, : ctx.d_model]
        self.register_buffer("table", waves.float(), persistent=False)

    def embed(self, x: Tensor, seq: SequenceInfo) -> Tensor:
        """x [B, T, D], scaled, with each token's position added."""
        return self.scale * x + self.table[seq.token_positions.clamp(min=0)]
