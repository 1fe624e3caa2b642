"""Scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762, equation 1).

    out = softmax(q·kᵀ / √Dh + mask)·v,   q = x·Wq,  k = x·Wk,  v = x·Wv,   y = out·Wo

With H query heads and n_kv_heads key and value heads, each of these serves H / n_kv_heads queries:
multi-head (all), grouped-query (Ainslie et al. 2023, arXiv:2305.13245), multi-query (1, Shazeer
2019, arXiv:1911.02150). What else may vary:

- `window` limits each query to the last keys (Beltagy et al. 2020, arXiv:2004.05150);
- `qk_norm` normalises queries and keys per head, before they are rotated (Henry et al. 2020,
  arXiv:2010.04245, with any norm in place of L2); `qk_norm_after` does so once they are rotated;
  `qk_norm_full` takes the heads of a token together, before (OLMo 2, arXiv:2501.00656, section 3);
- `softcap` squashes logits to c·tanh(logit / c) (Gemma 2, arXiv:2408.00118, section 2);
- `sink` gives each head a learned logit without a value, so that it may attend to nothing (OpenAI
  2025, gpt-oss, arXiv:2508.10925; after Xiao et al. 2023, arXiv:2309.17453);
- `gate` multiplies the heads' output by σ(x·Wg) (Qiu et al. 2025, arXiv:2505.06708);
- `value_residual` λ mixes values as λ·v_first + (1 − λ)·v (Zhou et al. 2024, arXiv:2410.17897).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, KVCache, SequenceInfo, State, attend
from tp_plugins.attentions import SoftmaxOptions


class Softmax(nn.Module):
    """Caches n_kv_heads · 2 · head_dim numbers per token, of at most `window` tokens."""

    def __init__(self, options: SoftmaxOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.options = options
        self.head_dim = ctx.head_dim
        kv_heads = options.n_kv_heads or ctx.n_heads
        d_q, d_kv = ctx.n_heads * ctx.head_dim, kv_heads * ctx.head_dim
        self.q = ctx.linear(ctx.dim, d_q, bias=options.bias)
        self.k = ctx.linear(ctx.dim, d_kv, bias=options.bias)
        self.v = ctx.linear(ctx.dim, d_kv, bias=options.bias)
        self.out = ctx.linear(d_q, ctx.dim, residual=True, bias=options.bias)
        self.q_norm = self.k_norm = None
        norm = options.qk_norm or options.qk_norm_after or options.qk_norm_full
        if norm:
            full = options.qk_norm_full is not None
            self.q_norm = ctx.make(norm, dim=d_q if full else ctx.head_dim)
            self.k_norm = ctx.make(norm, dim=d_kv if full else ctx.head_dim)
        self.sink = nn.Parameter(torch.zeros(ctx.n_heads)) if options.sink else None
        self.gate = ctx.linear(ctx.dim, d_q, bias=options.bias) if options.gate else None
        self.encoding = ctx.positional_encoding()
        self.cache = KVCache(self.encoding, window=options.window)

    def init_state(
        self, batch: int, capacity: int, device: torch.device, dtype: torch.dtype
    ) -> State:
        return self.cache.init_state(batch, capacity, device, dtype)

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        """x [B, T, D] -> y [B, T, D], and the state after it."""
        q, k = self.q(x), self.k(x)
        if self.options.qk_norm_full:
            q, k = self._normed(q, k)
        q = q.unflatten(-1, (-1, self.head_dim))
        k = k.unflatten(-1, (-1, self.head_dim))
        v = self.v(x).unflatten(-1, (-1, self.head_dim))
        if self.options.qk_norm:
            q, k = self._normed(q, k)
        if self.options.value_residual is not None:
            # Layers may differ in heads: values are only mixed with those of the same shape.
            first = seq.shared.setdefault(("first value", tuple(v.shape)), v)
            v = v + self.options.value_residual * (first - v)
        q = self.encoding.rotate(q.transpose(1, 2), seq.token_positions, "q")
        k = self.encoding.rotate(k.transpose(1, 2), seq.token_positions, "k").transpose(1, 2)
        if self.options.qk_norm_after:
            q, k = self._normed(q, k)
        kv = self.cache.append(state, seq, x, k=k, v=v)
        y = attend(
            q,
            kv,
            seq,
            softcap=self.options.softcap,
            sink=self.sink,
            dropout=self.options.dropout if self.training else 0.0,
        )
        y = y.transpose(1, 2).flatten(-2)
        if self.gate is not None:
            y = y * torch.sigmoid(self.gate(x))
        return self.out(y), state

    def _normed(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        assert self.q_norm is not None
        assert self.k_norm is not None
        return self.q_norm(q), self.k_norm(k)
