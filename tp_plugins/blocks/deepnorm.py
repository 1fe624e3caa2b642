"""DeepNorm (Wang et al. 2022, DeepNet, arXiv:2203.00555, section 2).

    x ← norm(α·x + attention(x)),    x ← norm(α·x + mlp(x)),    α = (2·n_layers)^(1/4)

The paper also draws values, attention outputs and both maps of the MLP smaller, by the factor
β = (8·n_layers)^(−1/4), so that what a sublayer adds starts smaller by β² = 1/√(8·n_layers). Here
the model's own start makes additions smaller with depth, by 1/√(2·n_layers) = 2β², all of it in the
last map of each sublayer: the same law of depth, at twice the size. A block can't tell which maps
of an attention are its values, and leaves the start of what it arranges alone, so that blocks can
be compared from equal weights.

The model's final norm then takes a stream that is normalised already, as after `post`.
"""

from __future__ import annotations

from torch import Tensor, nn

from tp_core import Options
from tp_core.interfaces import BuildContext, SequenceInfo, State


class DeepNorm(nn.Module):
    def __init__(self, options: Options, ctx: BuildContext) -> None:
        super().__init__()
        self.alpha = (2 * ctx.n_layers) ** 0.25
        self.attention_norm = ctx.norm()
        self.attention = ctx.attention()
        self.mlp = ctx.mlp()
        self.mlp_norm = ctx.norm() if self.mlp is not None else None
        self.dropout = nn.Dropout(ctx.dropout)

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        """x [B, T, D] -> x [B, T, D], and the attention's state after it."""
        y, state = self.attention(x, seq, state)
        x = self.attention_norm(self.alpha * x + self.dropout(y))
        if self.mlp is not None and self.mlp_norm is not None:
            x = self.mlp_norm(self.alpha * x + self.dropout(self.mlp(x, seq)))
        return x, state
