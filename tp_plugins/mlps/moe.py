"""Mixture of experts: each token is computed by the top_k of n_experts MLPs its router prefers.

    s = softmax(W_r·x),   y = Σ_{e in top_k of s + b} (s_e / Σ s_chosen)·MLP_e(x)

Two ways keep the experts equally busy, and may be combined:

- `loss_weight`: the balance loss n_experts · Σ_e f_e·P_e, with f_e the share of choices that fell
  on e and P_e its mean s (Fedus et al. 2021, Switch, arXiv:2101.03961, equation 4);
- `bias_rate`: a bias b on the choice alone, moved after each step by this much towards experts with
  less than their share (Wang et al. 2024, arXiv:2408.15664, algorithm 1).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, SequenceInfo
from tp_plugins.mlps import MoeOptions


class Expert(nn.Module):
    """W2 · silu(W1·x)"""

    def __init__(self, ctx: BuildContext, hidden: int) -> None:
        super().__init__()
        self.up = ctx.linear(ctx.dim, hidden)
        self.down = ctx.linear(hidden, ctx.dim, residual=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down(F.silu(self.up(x)))
        return y


class Moe(nn.Module):
    bias: Tensor
    load: Tensor

    def __init__(self, options: MoeOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.options = options
        hidden = max(1, round(options.expansion * ctx.dim))
        self.router = ctx.linear(ctx.dim, options.n_experts)
        self.experts = nn.ModuleList(Expert(ctx, hidden) for _ in range(options.n_experts))
        self.register_buffer("bias", torch.zeros(options.n_experts))
        # Choices since the last step: spent by after_step, so no checkpoint holds any.
        self.register_buffer("load", torch.zeros(options.n_experts), persistent=False)

    def forward(self, x: Tensor, seq: SequenceInfo) -> Tensor:
        """x [B, T, D] -> y [B, T, D]; pads are computed, but don't count as load."""
        flat = x.flatten(0, 1)
        scores = self.router(flat).float().softmax(-1)
        chosen = (scores + self.bias).topk(self.options.top_k, dim=-1).indices
        weights = scores.gather(-1, chosen)
        weights = weights / weights.sum(-1, keepdim=True)
        y = torch.zeros_like(flat)
        for index, expert in enumerate(self.experts):
            rows, places = (chosen == index).nonzero(as_tuple=True)
            part = expert(flat[rows]) * weights[rows, places, None].to(x.dtype)
            y = y.index_add(0, rows, part.to(y.dtype))
        if self.training:
            self._balance(scores, chosen, seq)
        return y.view_as(x)

    def _balance(self, scores: Tensor, chosen: Tensor, seq: SequenceInfo) -> None:
        valid = seq.valid.flatten().float()
        counts = F.one_hot(chosen, self.options.n_experts).sum(1) * valid[:, None]
        load = counts.sum(0)
        if self.options.bias_rate:
            self.load += load
        if self.options.loss_weight:
            tokens = valid.sum().clamp(min=1)
            shares = load / (tokens * self.options.top_k)
            means = (scores * valid[:, None]).sum(0) / tokens
            loss = self.options.n_experts * (shares * means).sum()
            # Per token, as the core divides by tokens.
            seq.add_loss("moe_balance", self.options.loss_weight * loss * valid.sum())

    def after_step(self) -> None:
        """Lean towards the experts that had less than their share."""
        if self.options.bias_rate:
            self.bias += self.options.bias_rate * torch.sign(self.load.mean() - self.load)
            self.load.zero_()
