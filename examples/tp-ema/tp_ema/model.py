"""Exponential moving average attention (after Ma et al. 2022, MEGA, arXiv:2209.10655, section 3.1).

    h_t = α·h_{t−1} + (1 − α)·v_t per head,    y_t = Wo·(σ(Wg·x_t) ⊙ h_t),    v = Wv·x

with 0 < α < 1 learned per head. Within a pass all tokens are averaged at once, by a [T, T] matrix
of powers of α; between passes h is all there is to keep.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, SequenceInfo, State, visible
from tp_ema import EmaOptions


class Ema(nn.Module):
    """Keeps n_heads · head_dim numbers, however many tokens it has seen."""

    def __init__(self, options: EmaOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.n_heads, self.head_dim = ctx.n_heads, ctx.head_dim
        width = ctx.n_heads * ctx.head_dim
        self.v = ctx.linear(ctx.dim, width)
        self.gate = ctx.linear(ctx.dim, width) if options.gate else None
        self.out = ctx.linear(width, ctx.dim, residual=True)
        # Heads average over `slowest` tokens, and over ever fewer, down to about one.
        tokens = 1 + (options.slowest - 1) * 0.5 ** torch.arange(ctx.n_heads)
        self.pace = nn.Parameter((1 - 1 / tokens).logit())

    def init_state(self, batch: int, device: torch.device) -> State:
        nowhere = torch.full((batch,), -1, dtype=torch.int64, device=device)
        average = torch.zeros(batch, self.n_heads, self.head_dim, device=device)
        return {"average": average, "position": nowhere, "document": nowhere.clone()}

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        """x [B, T, D] -> y [B, T, D], and the state after it."""
        v = self.v(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2).float()
        log_alpha = F.logsigmoid(self.pace)[:, None, None]
        share = torch.sigmoid(-self.pace)[:, None, None]
        # What a token sees, and how many tokens ago: documents and pads are `visible`'s business.
        mask = visible(seq, seq.positions, seq.documents)[:, None]
        age = (seq.positions[:, :, None] - seq.positions[:, None, :]).clamp(min=0)[:, None]
        h = (share * torch.exp(log_alpha * age)).masked_fill(~mask, 0.0) @ v
        if state is not None:
            average, position, document = (state[k] for k in ("average", "position", "document"))
            same = (seq.documents == document[:, None]) & seq.valid
            age = (seq.positions - position[:, None]).clamp(min=0)[:, None, :, None]
            h = h + torch.exp(log_alpha * age) * same[:, None, :, None] * average[:, :, None]
            state = self._after(state, seq, h)
        y = h.transpose(1, 2).flatten(-2).to(x.dtype)
        if self.gate is not None:
            y = y * torch.sigmoid(self.gate(x))
        return self.out(y), state

    def _after(self, state: State, seq: SequenceInfo, h: Tensor) -> State:
        """h at each row's last token; a row without one keeps what it had."""
        order = torch.arange(1, seq.valid.shape[1] + 1, device=h.device) * seq.valid
        last, any_token = order.argmax(1), seq.valid.any(1)
        rows = torch.arange(len(last), device=h.device)
        new = {
            "average": h[rows, :, last],
            "position": seq.positions[rows, last],
            "document": seq.documents[rows, last],
        }
        return {
            name: torch.where(any_token.view(-1, *[1] * (value.ndim - 1)), value, state[name])
            for name, value in new.items()
        }
