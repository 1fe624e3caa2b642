"""Rotary position embedding (Su et al. 2021, arXiv:2104.09864, equation 34).

Features i and i + Dh/2 of a head are the two coordinates of a point, turned by an angle that grows
with position n:

    θ_i = base^(−2i / Dh),    (a, b) ← (a·cos nθ_i − b·sin nθ_i,  a·sin nθ_i + b·cos nθ_i)

so that the product of a query at m and a key at n depends on m − n alone. The paper pairs
neighbouring features; pairing the two halves is the same up to a permutation of the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext
from tp_plugins.positional_encodings import RopeOptions


class Rope(nn.Module):
    """Site `rotate`: turns queries and keys, before they are cached."""

    cos: Tensor
    sin: Tensor

    def __init__(self, options: RopeOptions, ctx: BuildContext) -> None:
        super().__init__()
        exponents = torch.arange(0, ctx.head_dim, 2, dtype=torch.float64) / ctx.head_dim
        positions = torch.arange(ctx.max_seq_len, dtype=torch.float64)
        angles = torch.outer(positions, options.base**-exponents)
        # Both halves of a head turn by the same angles: [max_seq_len, Dh].
        self.register_buffer("cos", angles.cos().repeat(1, 2).float(), persistent=False)
        self.register_buffer("sin", angles.sin().repeat(1, 2).float(), persistent=False)

    def rotate(self, t: Tensor, positions: Tensor) -> Tensor:
        """t [B, H, T, Dh] turned by positions [B or 1, T]; in fp32, whatever t is in."""
        index = positions.clamp(min=0)
        cos, sin = self.cos[index][:, None], self.sin[index][:, None]
        a, b = t.float().chunk(2, dim=-1)
        return (t * cos + torch.cat([-b, a], dim=-1) * sin).type_as(t)
