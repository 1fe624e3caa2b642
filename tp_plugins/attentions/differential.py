"""Differential attention (Ye et al. 2024, arXiv:2410.05258, section 2.1).

    out = (softmax(q1·k1ᵀ / √d) − λ·softmax(q2·k2ᵀ / √d))·v,    what both maps find is noise
    λ = exp(λq1·λk1) − exp(λq2·λk2) + λ_init,    λ_init = 0.8 − 0.6·exp(−0.3·(l − 1)), l = 1..L
    y = [(1 − λ_init)·norm(out_h), h = 1..H]·Wo,    norm: root mean square over one head's features

A head's two maps have queries and keys of width d = head_dim / 2 and share values of width
head_dim, so parameters and cache are those of softmax attention with the same n_heads. (The paper
compares at equal d, so with half as many heads.) All heads of a layer share the vectors λq and λk
[d] and the norm's gain [head_dim], as in the authors' code. An encoding acts on both maps alike,
and sees n_heads heads of width d.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, KVCache, SequenceInfo, State, attend
from tp_plugins.attentions import DifferentialOptions


class Differential(nn.Module):
    """Caches n_kv_heads · 2 · head_dim numbers per token, of at most `window` tokens."""

    def __init__(self, options: DifferentialOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.head_dim, self.map_dim = ctx.head_dim, ctx.head_dim // 2
        d_q, d_kv = (n * ctx.head_dim for n in (ctx.n_heads, options.n_kv_heads or ctx.n_heads))
        self.q = ctx.linear(ctx.dim, d_q)
        self.k = ctx.linear(ctx.dim, d_kv)
        self.v = ctx.linear(ctx.dim, d_kv)
        self.out = ctx.linear(d_q, ctx.dim, residual=True)
        self.start = 0.8 - 0.6 * math.exp(-0.3 * ctx.layer_index)
        self.lambdas = nn.ParameterDict(
            {name: torch.randn(self.map_dim) * 0.1 for name in ("q1", "k1", "q2", "k2")}
        )
        self.norm = nn.RMSNorm(ctx.head_dim, eps=1e-5)
        self.encoding = ctx.positional_encoding(head_dim=self.map_dim)
        self.cache = KVCache(self.encoding, window=options.window)

    def init_state(
        self, batch: int, capacity: int, device: torch.device, dtype: torch.dtype
    ) -> State:
        return self.cache.init_state(batch, capacity, device, dtype)

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        """x [B, T, D] -> y [B, T, D], and the state after it."""
        q1, q2 = (self._rotated(t, seq, "q") for t in self._maps(self.q(x)))
        k1, k2 = (self._rotated(t, seq, "k").transpose(1, 2) for t in self._maps(self.k(x)))
        v = self.v(x).unflatten(-1, (-1, self.head_dim))
        kv = self.cache.append(state, seq, x, k1=k1, k2=k2, v=v)
        found, noise = attend(q1, kv, seq, k="k1"), attend(q2, kv, seq, k="k2")
        y = self.norm((found - self._factor() * noise).transpose(1, 2).float())
        return self.out(((1 - self.start) * y).flatten(-2).to(x.dtype)), state

    def _factor(self) -> Tensor:
        """λ, one number for the layer."""
        first = (self.lambdas["q1"] * self.lambdas["k1"]).sum().exp()
        second = (self.lambdas["q2"] * self.lambdas["k2"]).sum().exp()
        factor: Tensor = first - second + self.start
        return factor

    def _maps(self, t: Tensor) -> tuple[Tensor, ...]:
        """[B, T, H·Dh] as what each of the two maps takes of it, [B, H, T, d]."""
        return torch.unflatten(t, -1, (-1, 2, self.map_dim)).transpose(1, 3).unbind(1)

    def _rotated(self, t: Tensor, seq: SequenceInfo, which: str) -> Tensor:
        rotated: Tensor = self.encoding.rotate(t, seq.token_positions, which)
        return rotated
