"""Extrapolatable position embedding (Sun et al. 2022, arXiv:2212.10554, section 2).

Rotary embedding whose pairs also fade with distance, those that turn fastest most:

    q_m ← ζ_i^(m / scale_base)·R(mθ_i)·q_m,    k_n ← ζ_i^(−n / scale_base)·R(nθ_i)·k_n
    ζ_i = (2i / Dh + γ) / (1 + γ),    γ = 0.4,    θ_i = base^(−2i / Dh)

so that pair i enters the product of a query at m and a key at n with ζ_i^((m − n) / scale_base).
Any constant may be taken off both positions; half of max_seq_len keeps the scales nearest to 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext
from tp_plugins.positional_encodings import XposOptions
from tp_plugins.positional_encodings.rotation import turn_halves

_GAMMA = 0.4


class Xpos(nn.Module):
    """Site `rotate`: turns queries and keys and scales them against each other."""

    def __init__(self, options: XposOptions, ctx: BuildContext) -> None:
        super().__init__()
        along = torch.arange(0, ctx.head_dim, 2, dtype=torch.float64) / ctx.head_dim
        positions = torch.arange(ctx.max_seq_len, dtype=torch.float64)
        angles = torch.outer(positions, options.base**-along)
        powers = (positions - ctx.max_seq_len // 2) / options.scale_base
        scales = ((along + _GAMMA) / (1 + _GAMMA)) ** powers[:, None]
        # Both halves of a head turn by the same angles: each [max_seq_len, Dh].
        for which, size in (("q", scales), ("k", 1 / scales)):
            for name, wave in (("cos", angles.cos()), ("sin", angles.sin())):
                table = (size * wave).repeat(1, 2).float()
                self.register_buffer(f"{which}_{name}", table, persistent=False)

    def rotate(self, t: Tensor, positions: Tensor, which: str) -> Tensor:
        """t [B, H, T, Dh], queries or keys ("q", "k"), at positions [B or 1, T]; in fp32."""
        index = positions.clamp(min=0)
        cos, sin = self.get_buffer(f"{which}_cos"), self.get_buffer(f"{which}_sin")
        return turn_halves(t, cos[index][:, None], sin[index][:, None])
