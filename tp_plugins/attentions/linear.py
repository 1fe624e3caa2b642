"""Linear attention with decay: a matrix per head in place of a cache.

    S_t = γ·S_{t−1} + φ(k_t)·v_tᵀ,    z_t = γ·z_{t−1} + φ(k_t)
    y_t = φ(q_t)ᵀ·S_t / φ(q_t)ᵀ·z_t,    φ(x) = elu(x) + 1

(Katharopoulos et al. 2020, arXiv:2006.16236, equations 16 to 20). Per head, γ = 1 − 2^(−5−h) makes
it forget at several paces (Sun et al. 2023, RetNet, arXiv:2307.08621, equation 8); `decay` says
whether they are fixed, learned, or 1. A rotation acts on φ(q) and φ(k) of the numerator alone, for
the denominator must stay positive (Su et al. 2021, arXiv:2104.09864, equation 19).

A pass over T tokens weighs them against each other as a T x T matrix, and adds what the state
brought along; the recurrence above is what that comes to, token by token.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, SequenceInfo, State, visible
from tp_plugins.attentions import LinearOptions


class Linear(nn.Module):
    """Keeps n_heads · head_dim · (head_dim + 1) numbers, however many tokens it has seen."""

    decay: Tensor | None

    def __init__(self, options: LinearOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.n_heads, self.head_dim = ctx.n_heads, ctx.head_dim
        width = ctx.n_heads * ctx.head_dim
        self.q = ctx.linear(ctx.dim, width)
        self.k = ctx.linear(ctx.dim, width)
        self.v = ctx.linear(ctx.dim, width)
        self.out = ctx.linear(width, ctx.dim, residual=True)
        self.encoding = ctx.positional_encoding()
        gamma = 1 - 2.0 ** (-5 - torch.arange(ctx.n_heads, dtype=torch.float32))
        # As logits, so that a learned γ stays between 0 and 1.
        if options.decay == "learned":
            self.decay = nn.Parameter(gamma.logit())
        else:
            fixed = gamma.logit() if options.decay == "fixed" else None
            self.register_buffer("decay", fixed, persistent=False)

    def init_state(self, batch: int, capacity: int, device: torch.device) -> State:
        """Nothing seen: an empty matrix, at no position of no document."""
        h, d = self.n_heads, self.head_dim
        nowhere = torch.full((batch,), -1, dtype=torch.int64, device=device)
        return {
            "matrix": torch.zeros(batch, h, d, d, device=device),
            "norm": torch.zeros(batch, h, d, device=device),
            "position": nowhere,
            "document": nowhere.clone(),
        }

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        """x [B, T, D] -> y [B, T, D], and the state after it; sums are taken in fp32."""
        q, k, v = (
            layer(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2).float()
            for layer in (self.q, self.k, self.v)
        )
        q, k = F.elu(q) + 1, F.elu(k) + 1
        q_turned = self.encoding.rotate(q, seq.token_positions, "q")
        k_turned = self.encoding.rotate(k, seq.token_positions, "k")
        mask = visible(seq, seq.positions, seq.documents)[:, None]
        age = (seq.positions[:, :, None] - seq.positions[:, None, :])[:, None]
        weight = self._decayed(age).masked_fill(~mask, 0.0)
        numerator = (q_turned @ k_turned.transpose(-1, -2) * weight) @ v
        denominator = (q @ k.transpose(-1, -2) * weight).sum(-1)
        if state is not None:
            old = {name: value for name, value in state.items() if isinstance(value, Tensor)}
            goes_on = (seq.documents == old["document"][:, None]) & seq.valid
            age = (seq.positions - old["position"][:, None])[:, None, :]
            carried = self._decayed(age[..., None])[..., 0] * goes_on[:, None]
            numerator = numerator + carried[..., None] * (q_turned @ old["matrix"])
            denominator = denominator + carried * (q @ old["norm"][..., None])[..., 0]
            state = self._after(old, seq, k_turned, k, v)
        y = numerator / denominator.clamp(min=1e-6)[..., None]
        return self.out(y.transpose(1, 2).flatten(-2).to(x.dtype)), state

    def _decayed(self, age: Tensor) -> Tensor:
        """γ^age per head, [B, H, T, S] for ages [B, 1, T, S]; ages below 0 are masked elsewhere."""
        age = age.clamp(min=0).float()
        if self.decay is None:
            return torch.ones_like(age).expand(-1, self.n_heads, -1, -1)
        return torch.exp(F.logsigmoid(self.decay)[:, None, None] * age)

    def _after(
        self, old: dict[str, Tensor], seq: SequenceInfo, k_turned: Tensor, k: Tensor, v: Tensor
    ) -> State:
        """The state once these tokens are in: of each row's last document, nothing older."""
        length = seq.positions.shape[1]
        order = torch.arange(1, length + 1, device=seq.positions.device) * seq.valid
        last = order.argmax(1, keepdim=True)
        any_token = seq.valid.any(1)
        position = torch.where(any_token, seq.positions.gather(1, last)[:, 0], old["position"])
        document = torch.where(any_token, seq.documents.gather(1, last)[:, 0], old["document"])
        counted = seq.valid & (seq.documents == document[:, None])
        age = (position[:, None] - seq.positions)[:, None, :, None]
        weight = self._decayed(age) * counted[:, None, :, None]
        kept = (document == old["document"])[:, None]
        fade = self._decayed((position - old["position"])[:, None, None, None])[..., 0, 0] * kept
        return {
            "matrix": fade[..., None, None] * old["matrix"]
            + (k_turned * weight).transpose(-1, -2) @ v,
            "norm": fade[..., None] * old["norm"] + (k * weight).sum(2),
            "position": position,
            "document": document,
        }
