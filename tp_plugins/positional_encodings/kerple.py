"""Kernelized relative bias, logarithmic (Chi et al. 2022, arXiv:2205.09921, section 4).

    logits_ij ← logits_ij − r1_h·ln(1 + r2_h·(i − j)),    r1, r2 > 0

with two learned numbers per head, the same in all layers. They are kept as logarithms, so that
they stay positive, and start where the authors' do: uniform in 0..2 and 0..1, at least 0.01.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext


class Kerple(nn.Module):
    """Site `bias`: keys count less the further back they are, ever more slowly."""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__()
        self.log_r1 = nn.Parameter((2 * torch.rand(ctx.n_heads)).clamp(min=0.01).log())
        self.log_r2 = nn.Parameter(torch.rand(ctx.n_heads).clamp(min=0.01).log())

    def bias(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        """fp32 [B or 1, H, T, S] from positions [B or 1, T] and [B or 1, S]."""
        distance = (q_pos[:, None, :, None] - k_pos[:, None, None, :]).clamp(min=0)
        r1, r2 = (log_r.exp()[:, None, None] for log_r in (self.log_r1, self.log_r2))
        return -r1 * torch.log1p(r2 * distance)
