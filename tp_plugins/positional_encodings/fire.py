"""Functional interpolation for relative positions (Li et al. 2023, arXiv:2310.04418, section 3).

    logits_ij ← logits_ij + f_h( ψ(i − j) / ψ(max(L, i)) ),    ψ(x) = ln(c·x + 1)

f is a small MLP with one output per head, c > 0 and the threshold L > 0 are learned; all are a
layer's own. Dividing by the query's position keeps what f sees within 0..1 for rows of any length;
up to L the distance itself still shows. c and L are kept as logarithms, so that they stay positive.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, without_autocast
from tp_plugins.positional_encodings import FireOptions


class Fire(nn.Module):
    """Site `bias`: a learned function of the distance."""

    scope = "layer"

    def __init__(self, options: FireOptions, ctx: BuildContext) -> None:
        super().__init__()
        # PyTorch's own start: biases that differ bend f at different places.
        self.up = nn.Linear(1, options.hidden)
        self.down = nn.Linear(options.hidden, ctx.n_heads)
        self.log_c = nn.Parameter(torch.tensor(math.log(options.c)))
        self.log_threshold = nn.Parameter(torch.tensor(math.log(options.threshold)))

    def bias(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        """fp32 [B or 1, H, T, S] from positions [B or 1, T] and [B or 1, S]."""
        c, threshold = self.log_c.exp(), self.log_threshold.exp()
        distance = (q_pos[:, :, None] - k_pos[:, None, :]).clamp(min=0)
        furthest = torch.maximum(q_pos, threshold)
        share = torch.log1p(c * distance) / torch.log1p(c * furthest)[..., None]
        # In bf16 neighbours in a long row would be at one distance.
        with without_autocast(share):
            values: Tensor = self.down(F.relu(self.up(share[..., None])))
        return values.permute(0, 3, 1, 2)
