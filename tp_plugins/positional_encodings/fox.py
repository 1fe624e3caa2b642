"""Forgetting attention (Lin et al. 2025, arXiv:2503.02130, section 3).

    f_t = σ(w·x_t + b) per head,    logits_ij ← logits_ij + Σ_{l=j+1..i} log f_l

Each token decides how much of what came before it is still worth. With c_t = Σ_{l≤t} log f_l the
sum is c_i − c_j, so a token's c is all there is to keep of it. Sums run on across the documents of
a row: only differences within one document are ever looked at.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, SequenceInfo, State
from tp_plugins.positional_encodings import FoxOptions


class Fox(nn.Module):
    """Site `score`: keys count less the more has been forgotten since."""

    scope = "layer"  # what to forget is learned per layer

    def __init__(self, options: FoxOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.n_heads = ctx.n_heads
        self.gate = ctx.linear(ctx.d_model, ctx.n_heads, bias=True)
        nn.init.constant_(self.gate.bias, options.start)

    def init_state(self, batch: int, device: torch.device) -> State:
        """The sum so far, [B, H]."""
        return {"total": torch.zeros(batch, self.n_heads, device=device)}

    def features(self, x: Tensor, seq: SequenceInfo, state: State | None) -> Tensor:
        """c of each token, fp32 [B, T, H]; pads and idle rows forget nothing."""
        log_f = F.logsigmoid(self.gate(x).float()).masked_fill(~seq.valid[..., None], 0.0)
        sums = log_f.cumsum(1)
        if state is not None:
            before = state["total"]
            assert isinstance(before, Tensor)
            sums = sums + before[:, None]
            state["total"] = sums[:, -1]
        return sums

    def score(self, logits: Tensor, q_feat: Tensor, k_feat: Tensor) -> Tensor:
        """logits [B, H, T, S] and what was forgotten between key and query."""
        c_q, c_k = q_feat.transpose(1, 2), k_feat.transpose(1, 2)
        return logits + c_q[..., :, None] - c_k[..., None, :]
