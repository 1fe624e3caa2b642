"""Contextual position encoding (Golovneva et al. 2024, arXiv:2405.18719, section 4).

    g_ij = σ(logits_ij),    p_ij = Σ_{l=j..i} g_il,    logits_ij ← logits_ij + q_i·e[p_ij]

A key's position is how many of the tokens from it up to the query count, and the gate g lets the
query say which do: words, sentences, or all. Positions are fractions: between whole ones e is
interpolated, and from `npos_max` − 1 on they are all that. The embeddings e are a layer's own and
shared by its heads; they start at zero.

Sums run over the keys a query sees, from the latest to the earliest. A cache hands out keys in the
order of its slots, so each carries its position along. Where queries are wider than `head_dim`
(latent attention), e meets their last features, those that are there for positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, SequenceInfo
from tp_plugins.positional_encodings import CopeOptions


class Cope(nn.Module):
    """Site `score`: adds what the query says of a key's counted position."""

    scope = "layer"

    def __init__(self, options: CopeOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.head_dim, self.last = ctx.head_dim, options.npos_max - 1
        self.table = nn.Embedding(options.npos_max, ctx.head_dim)
        nn.init.zeros_(self.table.weight)

    def features(self, x: Tensor, seq: SequenceInfo) -> Tensor:
        """The position of each token, int64 [B, T, 1]."""
        return seq.positions[..., None]

    def score(
        self, q: Tensor, logits: Tensor, q_feat: Tensor, k_feat: Tensor, visible: Tensor
    ) -> Tensor:
        """logits [B, H, T, S] with those of e; q [B, H, T, ≥ Dh], k_feat int64 [B, S, 1]."""
        gates = torch.sigmoid(logits).masked_fill(~visible, 0.0)
        if k_feat is q_feat:  # no cache: keys come in order
            counted = _sum_from_the_end(gates)
        else:
            order = k_feat[:, None, :, 0].argsort(-1)[:, :, None].expand_as(gates)
            sums = _sum_from_the_end(gates.gather(-1, order))
            counted = torch.empty_like(sums).scatter(-1, order, sums)
        counted = counted.clamp(max=self.last)
        at_whole = (q[..., -self.head_dim :] @ self.table.weight.to(q.dtype).T).float()
        below = counted.detach().floor()
        share = (counted - below).float()
        low = at_whole.gather(-1, below.long())
        high = at_whole.gather(-1, (below.long() + 1).clamp(max=self.last))
        return logits + torch.lerp(low, high, share)


def _sum_from_the_end(gates: Tensor) -> Tensor:
    # What is left of a sum beside its whole part has few bits in fp32. Apple's GPUs have no fp64.
    wide = torch.float32 if gates.device.type == "mps" else torch.float64
    return gates.flip(-1).cumsum(-1, dtype=wide).flip(-1)
