"""Multi-head latent attention (DeepSeek-AI 2024, DeepSeek-V2, arXiv:2405.04434, section 2.1).

    c_t = norm(W_DKV·x_t)                      what is cached: `latent` numbers
    k_t = [W_UK·c_t ; rotate(W_KR·x_t)]        the rotated part, d_rope wide, is one for all heads
    q_t = [W_Q·x_t ; rotate(W_QR·x_t)],   v_t = W_UV·c_t

W_UK meets the query and W_UV the output, so neither keys nor values are ever formed: (W_UK·c)·q is
c·(W_UKᵀ·q). Every head then looks at the same latents, as in multi-query attention.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, KVCache, SequenceInfo, State, attend
from tp_plugins.attentions import MlaOptions


class Mla(nn.Module):
    """Caches `latent` + `d_rope` numbers per token, whatever the number of heads."""

    def __init__(self, options: MlaOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.n_heads, self.head_dim = ctx.n_heads, ctx.head_dim
        self.latent = options.latent_width(ctx.head_dim)
        self.d_rope = options.rope_width(ctx.head_dim)
        width = ctx.n_heads * ctx.head_dim
        self.down = ctx.linear(ctx.dim, self.latent)
        self.norm = ctx.make(options.latent_norm, dim=self.latent) if options.latent_norm else None
        self.k_rope = ctx.linear(ctx.dim, self.d_rope)
        self.q = ctx.linear(ctx.dim, width)
        self.q_rope = ctx.linear(ctx.dim, ctx.n_heads * self.d_rope)
        self.k_up = ctx.linear(self.latent, width)
        self.v_up = ctx.linear(self.latent, width)
        self.out = ctx.linear(width, ctx.dim, residual=True)
        self.encoding = ctx.positional_encoding(head_dim=self.d_rope)
        self.cache = KVCache(self.encoding)

    def init_state(
        self, batch: int, capacity: int, device: torch.device, dtype: torch.dtype
    ) -> State:
        return self.cache.init_state(batch, capacity, device, dtype)

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        """x [B, T, D] -> y [B, T, D], and the state after it."""
        latent = self.down(x)
        if self.norm is not None:
            latent = self.norm(latent)
        k_rope = self.encoding.rotate(self.k_rope(x)[:, None], seq.token_positions, "k")
        kv = self.cache.append(
            state, seq, x, latent=latent[:, :, None], rope=k_rope.transpose(1, 2)
        )
        latents, ropes = kv["latent"], kv["rope"]
        kv = kv.with_tensors(k=torch.cat([latents, ropes], -1), v=latents)

        q = self.q(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        q_rope = self.q_rope(x).unflatten(-1, (-1, self.d_rope)).transpose(1, 2)
        q_rope = self.encoding.rotate(q_rope, seq.token_positions, "q")
        per_head = (self.n_heads, self.head_dim, self.latent)
        k_up, v_up = self.k_up.weight.view(per_head), self.v_up.weight.view(per_head)
        q = torch.cat([q @ k_up.to(q.dtype), q_rope], -1)
        y = attend(q, kv, seq, scale=1 / math.sqrt(self.head_dim + self.d_rope))
        y = y @ v_up.transpose(-1, -2).to(y.dtype)
        return self.out(y.transpose(1, 2).flatten(-2)), state
