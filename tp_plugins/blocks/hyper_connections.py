"""Hyper-connections (Zhu et al. 2024, arXiv:2409.19606, section 2).

Between layers a token has n residual streams, H [n, D], which begin as copies of its embedding.
With T a sublayer and its norm, and A_m [n, 1], A_r [n, n] and B [1, n] of its own,

    H ← A_rᵀ H + Bᵀ T(A_mᵀ H)

static: learned numbers. Dynamic: each token's own, from its streams, with W and s learned too,

    A_m + s_α·tanh(norm(H) W_m),    A_r + s_α·tanh(norm(H) W_r),    B + s_β·tanh(norm(H) W_β)ᵀ

At the start W = 0, s = 0.01, A_r is the identity, B is all ones, and sublayer k (attention and MLP
count singly) reads stream k mod n alone. So all streams are alike and the model computes what
`pre` does. `norm` is of the layer's kind. W is decayed, the static numbers aren't, as in the paper.

Two things differ from it. The streams leave as their mean, not their sum: n times less, which no
norm that follows but `dyt` would notice, and the model starts as `pre` under any. And the last map
of each sublayer starts as in every block here; the paper draws it √n larger.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, SequenceInfo, State, without_autocast
from tp_plugins.blocks import HyperConnectionsOptions

_DYNAMIC_SCALE = 0.01


class HyperConnections(nn.Module):
    def __init__(self, options: HyperConnectionsOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.n = options.n
        self.attention_norm = ctx.norm()
        self.attention = ctx.attention()
        self.mlp = ctx.mlp()
        first = ctx.layer_index * (1 if self.mlp is None else 2)
        self.attention_streams = _Streams(options, ctx, first)
        if self.mlp is not None:
            self.mlp_norm = ctx.norm()
            self.mlp_streams = _Streams(options, ctx, first + 1)
        self.dropout = nn.Dropout(ctx.dropout)

    def enter(self, x: Tensor) -> Tensor:
        """x [B, T, D] -> n copies of it, [B, T, n, D]."""
        return x[:, :, None].expand(-1, -1, self.n, -1)

    def leave(self, x: Tensor) -> Tensor:
        """The streams' mean: x [B, T, n, D] -> [B, T, D]."""
        return x.mean(2)

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        """x [B, T, n, D] -> x [B, T, n, D], and the attention's state after it."""
        read, kept, weights = self.attention_streams(x)
        y, state = self.attention(self.attention_norm(read), seq, state)
        x = kept + weights * self.dropout(y)[:, :, None]
        if self.mlp is not None:
            read, kept, weights = self.mlp_streams(x)
            y = self.mlp(self.mlp_norm(read), seq)
            x = kept + weights * self.dropout(y)[:, :, None]
        return x, state


class _Streams(nn.Module):
    """The connections of sublayer `k`: what it reads, what is kept, and where its output goes."""

    def __init__(self, options: HyperConnectionsOptions, ctx: BuildContext, k: int) -> None:
        super().__init__()
        n = options.n
        reads = torch.zeros(n, 1)
        reads[k % n] = 1
        self.alpha = nn.Parameter(torch.cat([reads, torch.eye(n)], 1))  # A_m, then A_r
        self.beta = nn.Parameter(torch.ones(n))
        self.dynamic = options.dynamic
        if self.dynamic:
            self.norm = ctx.norm()
            self.map = nn.Linear(ctx.dim, n + 2, bias=False)  # W_m, W_r, W_β
            nn.init.zeros_(self.map.weight)
            self.alpha_scale = nn.Parameter(torch.tensor(_DYNAMIC_SCALE))
            self.beta_scale = nn.Parameter(torch.tensor(_DYNAMIC_SCALE))

    def roles(self) -> dict[str, str]:
        return {"alpha": "scalar"}

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of x [B, T, n, D]: A_mᵀ H [B, T, D], A_rᵀ H [B, T, n, D], and Bᵀ [n, 1] or per token."""
        alpha: Tensor = self.alpha
        beta = self.beta[:, None]
        if self.dynamic:
            moved = torch.tanh(self.map(self.norm(x)).float())
            alpha = alpha + self.alpha_scale * moved[..., :-1]
            beta = beta + self.beta_scale * moved[..., -1:]
        # In fp32 under autocast too: this is the residual stream.
        with without_autocast(x):
            mixed = alpha.transpose(-1, -2) @ x.float()
        return mixed[:, :, 0], mixed[:, :, 1:], beta
