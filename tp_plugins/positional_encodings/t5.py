"""T5's relative bias (Raffel et al. 2019, arXiv:1910.10683, section 2.1).

    logits_ij ← logits_ij + table[bucket(i − j), h]

The first half of the buckets, N/2, hold one distance each; the others cover logarithmically wider
ranges up to `max_distance`, from where on all share the last:

    bucket(d) = d                                                     for d < N/2
    bucket(d) = N/2 + ⌊(N − N/2)·ln(d / (N/2)) / ln(max_distance / (N/2))⌋, at most N − 1

The table is the whole model's. Here it adds to logits that are scaled by 1/√Dh; T5 doesn't scale.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext
from tp_plugins.positional_encodings import T5Options


def bucket(distance: int, n_buckets: int, max_distance: int) -> int:
    """The bucket of a distance ≥ 0."""
    exact = n_buckets // 2
    if distance < exact:
        return distance
    steps = n_buckets - exact
    # ln(d / e) / ln(m / e) ≥ step / steps, without the rounding that logarithms bring.
    reached = [
        step
        for step in range(steps)
        if distance**steps * exact**step >= exact**steps * max_distance**step
    ]
    return exact + reached[-1]


class T5(nn.Module):
    """Site `bias`: a learned value per bucket and head."""

    buckets: Tensor

    def __init__(self, options: T5Options, ctx: BuildContext) -> None:
        super().__init__()
        buckets = [
            bucket(distance, options.n_buckets, options.max_distance)
            for distance in range(min(ctx.max_seq_len, options.max_distance + 1))
        ]
        self.register_buffer("buckets", torch.tensor(buckets), persistent=False)
        self.table = nn.Embedding(options.n_buckets, ctx.n_heads)
        nn.init.normal_(self.table.weight, std=ctx.d_model**-0.5)

    def bias(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        """fp32 [B or 1, H, T, S] from positions [B or 1, T] and [B or 1, S]."""
        distance = q_pos[:, :, None] - k_pos[:, None, :]
        values: Tensor = self.table(self.buckets[distance.clamp(0, len(self.buckets) - 1)])
        return values.permute(0, 3, 1, 2)
