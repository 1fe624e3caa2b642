"""Rotary position embedding (Su et al. 2021, arXiv:2104.09864, equation 34).

Features i and i + Dh/2 of a head are the two coordinates of a point, turned by an angle that grows
with position n:

    θ_i = base^(−2i / Dh),    (a, b) ← (a·cos nθ_i − b·sin nθ_i,  a·sin nθ_i + b·cos nθ_i)

so that the product of a query at m and a key at n depends on m − n alone. The paper pairs
neighbouring features; pairing the two halves is the same up to a permutation of the weights.
What may vary:

- `layout`: the halves (Llama, GPT-NeoX) or neighbours (the paper, GPT-J) are the pairs;
- `fraction` rotates only the first features of a head, as if they were all of it (GPT-NeoX, Phi);
- `p` lets only that share of the frequencies turn, the highest (p-RoPE, Barbero et al. 2024,
  arXiv:2410.06205); the rest of the pairs keep θ = 0 and can carry content over any distance;
- `scaling` lowers frequencies for longer rows: see rope_scaling.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext
from tp_plugins.positional_encodings import RopeOptions
from tp_plugins.positional_encodings.rope_scaling import attention_factor, frequencies
from tp_plugins.positional_encodings.rotation import turn_halves, turn_neighbours


class Rope(nn.Module):
    """Site `rotate`: turns queries and keys, before they are cached."""

    cos: Tensor
    sin: Tensor

    def __init__(self, options: RopeOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.width = options.rotated_width(ctx.head_dim)
        self.halves = options.layout == "half"
        positions = torch.arange(ctx.max_seq_len, dtype=torch.float64)
        angles = torch.outer(positions, frequencies(options, self.width, ctx.max_seq_len))
        # Both features of a pair turn by the same angle: [max_seq_len, width].
        angles = angles.repeat(1, 2) if self.halves else angles.repeat_interleave(2, 1)
        size = attention_factor(options)
        self.register_buffer("cos", (size * angles.cos()).float(), persistent=False)
        self.register_buffer("sin", (size * angles.sin()).float(), persistent=False)

    def rotate(self, t: Tensor, positions: Tensor) -> Tensor:
        """t [B, H, T, Dh] turned by positions [B or 1, T]; in fp32, whatever t is in."""
        index = positions.clamp(min=0)
        cos, sin = self.cos[index][:, None], self.sin[index][:, None]
        turn = turn_halves if self.halves else turn_neighbours
        if self.width == t.shape[-1]:
            return turn(t, cos, sin)
        return torch.cat([turn(t[..., : self.width], cos, sin), t[..., self.width :]], -1)
