"""Mixture of experts: each token is computed by the top_k of n_experts MLPs its router prefers.

    s = softmax(W_r·x),   C = the top_k of s + b
    y = Σ_{e ∈ C} g_e·MLP_e(x) + Σ_{shared} MLP(x),   g_e = s_e / Σ_{C} s

This is Mixtral's routing (Jiang et al. 2024, arXiv:2401.04088, section 2.1). What else may vary:

- `norm_topk = false`: g = s (Switch, Fedus et al. 2021, arXiv:2101.03961, equation 2; DeepSeekMoE,
  Dai et al. 2024, arXiv:2401.06066, equation 10). With top_k = 1 only so does g depend on s;
- `scores = "sigmoid"`: s = σ(W_r·x), each expert on its own (DeepSeek-V3, arXiv:2412.19437,
  equations 13 to 15);
- `n_shared` experts compute every token, with weight 1 (DeepSeekMoE, equation 9), or, all together,
  with the weight σ(w·x) of `shared_gate` (Qwen1.5-MoE, 2024).

Two ways keep the experts equally busy, and may be combined:

- `loss_weight`: the balance loss n_experts · Σ_e f_e·P_e, with f_e the share of choices that fell
  on e and P_e its mean s (Switch, equation 4), where the s of a token are first made to add up to 1
  (DeepSeek-V3, equations 17 to 20);
- `bias_rate`: a bias b on the choice alone, moved after each step by this much towards experts with
  less than their share (Wang et al. 2024, arXiv:2408.15664, algorithm 1).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, SequenceInfo
from tp_plugins.mlps import MoeOptions


class Moe(nn.Module):
    bias: Tensor
    load: Tensor

    def __init__(self, options: MoeOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.options = options
        self.router = ctx.linear(ctx.dim, options.n_experts)
        self.experts = nn.ModuleList(ctx.make(options.expert) for _ in range(options.n_experts))
        self.shared = nn.ModuleList(ctx.make(options.expert) for _ in range(options.n_shared))
        self.shared_gate = ctx.linear(ctx.dim, 1) if options.shared_gate else None
        self.register_buffer("bias", torch.zeros(options.n_experts))
        # Choices since the last step: spent by after_step, so no checkpoint holds any.
        self.register_buffer("load", torch.zeros(options.n_experts), persistent=False)

    def forward(self, x: Tensor, seq: SequenceInfo) -> Tensor:
        """x [B, T, D] -> y [B, T, D]; pads are computed, but don't count as load."""
        flat = x.flatten(0, 1)
        scores, chosen, weights = self._route(flat)
        y = torch.zeros_like(flat)
        for index, expert in enumerate(self.experts):
            rows, places = (chosen == index).nonzero(as_tuple=True)
            part = expert(flat[rows, None], _tokens(seq, rows))[:, 0]
            part = part * weights[rows, places, None].to(part.dtype)
            y = y.index_add(0, rows, part.to(y.dtype))
        y = y.view_as(x)
        for expert in self.shared:
            part = expert(x, seq)
            y = y + (
                part if self.shared_gate is None else torch.sigmoid(self.shared_gate(x)) * part
            )
        if self.training:
            self._balance(scores, chosen, seq)
        return y

    def _route(self, flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of tokens [N, D] the scores [N, E], the experts chosen and their weights, [N, K] each."""
        logits = self.router(flat).float()
        scores = logits.softmax(-1) if self.options.scores == "softmax" else logits.sigmoid()
        chosen = (scores + self.bias).topk(self.options.top_k, dim=-1).indices
        weights = scores.gather(-1, chosen)
        return scores, chosen, _shares(weights) if self.options.norm_topk else weights

    def _balance(self, scores: Tensor, chosen: Tensor, seq: SequenceInfo) -> None:
        valid = seq.valid.flatten().float()
        counts = F.one_hot(chosen, self.options.n_experts).sum(1) * valid[:, None]
        load = counts.sum(0)
        if self.options.bias_rate:
            self.load += load
        if self.options.loss_weight:
            tokens = valid.sum().clamp(min=1)
            shares = load / (tokens * self.options.top_k)
            means = (_shares(scores) * valid[:, None]).sum(0) / tokens
            loss = self.options.n_experts * (shares * means).sum()
            # Per token, as the core divides by tokens.
            seq.add_loss("moe_balance", self.options.loss_weight * loss * valid.sum())

    def after_step(self) -> None:
        """Lean towards the experts that had less than their share."""
        if self.options.bias_rate:
            self.bias += self.options.bias_rate * torch.sign(self.load.mean() - self.load)
            self.load.zero_()


def _shares(scores: Tensor) -> Tensor:
    """Scores [N, K] over their sum, which sigmoids far below 0 leave at 0."""
    return scores / scores.sum(-1, keepdim=True).clamp(min=1e-20)


def _tokens(seq: SequenceInfo, rows: Tensor) -> SequenceInfo:
    """What an expert needs to know of some tokens of a batch, each a row of its own, [N, 1]."""
    return SequenceInfo(
        positions=seq.positions.flatten()[rows, None],
        documents=seq.documents.flatten()[rows, None],
        valid=seq.valid.flatten()[rows, None],
        shared=seq.shared,
        losses=seq.losses,
    )
