"""Multi-head attention (Vaswani et al. 2017, arXiv:1706.03762, equation 1).

    y = Wo · softmax(q·kᵀ / √Dh + mask)·v,    q = Wq·x,  k = Wk·x,  v = Wv·x

What an attention must hold:

- `forward(x, seq, state)` takes [B, T, D] and returns `(y, state)`, y of the same shape. In
  training `state` is None and stays None.
- `init_state(batch, capacity, device, dtype)` makes the state of an empty sequence: a (nested) dict
  of tensors with the batch on dim 0. `forward` is given it and hands back the one after its tokens;
  a pass in pieces gives what one pass gives.
- Causal, one document at a time, and pads and idle rows leave no trace. `attend` and `KVCache` see
  to all of that; who does without them asks `tp_core.interfaces.visible` who may see whom, and
  never counts on places in the batch: `seq.positions` says what each token is.
- Where `offers` names a site, `forward` serves it: `rotate` by `encoding.rotate` before caching,
  `bias` and `score` by `attend`, with what `KVCache` keeps for the encoding.
- A parameter of two or more axes counts as a hidden matrix and is decayed towards zero; `roles()`
  says otherwise: `return {"kernel": "scalar"}`.
"""

import torch
from torch import Tensor, nn
from tp_core.interfaces import BuildContext, KVCache, SequenceInfo, State, attend

from tp_core.testing.minimal.attention import MinimalOptions


class Minimal(nn.Module):
    """Caches 2 · d_model numbers per token, of at most `window` tokens."""

    def __init__(self, options: MinimalOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.n_heads = ctx.n_heads
        width = ctx.n_heads * ctx.head_dim
        self.q = ctx.linear(ctx.dim, width)
        self.k = ctx.linear(ctx.dim, width)
        self.v = ctx.linear(ctx.dim, width)
        self.out = ctx.linear(width, ctx.dim, residual=True)
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
        q, k, v = (self.by_head(project(x)) for project in (self.q, self.k, self.v))
        q = self.encoding.rotate(q, seq.token_positions, "q")
        k = self.encoding.rotate(k, seq.token_positions, "k")
        kv = self.cache.append(state, seq, x, k=k.transpose(1, 2), v=v.transpose(1, 2))
        y = attend(q, kv, seq)
        return self.out(y.transpose(1, 2).flatten(-2)), state

    def by_head(self, x: Tensor) -> Tensor:
        """[B, T, H·Dh] -> [B, H, T, Dh]"""
        return x.view(*x.shape[:2], self.n_heads, -1).transpose(1, 2)
