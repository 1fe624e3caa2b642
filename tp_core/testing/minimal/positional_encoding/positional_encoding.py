"""A logarithmic penalty on distance (after Chi et al. 2022, KERPLE, arXiv:2205.09921, section 4).

    logits_ij ← logits_ij − slope_h · log(1 + (i − j) / reach),    slope_h > 0 learned per head

What a positional encoding must hold: it acts at one or more sites, each a method, and its
descriptor lists them as `needs`. An attention that doesn't offer one of them is refused.

- `embed(x, seq)`: x [B, T, D] with something added, before the first layer.
- `rotate(t, positions, which)`: queries or keys [B, H, T, Dh] (`which` is "q" or "k") at positions
  [B or 1, T], before they are cached.
- `bias(q_pos, k_pos)`: fp32 [B or 1, H, T, S], added to the logits.
- `score(q, logits, q_feat, k_feat, visible)`, with `features(x, seq, state)`: logits that depend on
  the data.

All of it depends on positions, which start at 0 in each document, and never on places in the
batch. A position of −1 is no token: what is computed there is never used, but must be finite.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tp_core.interfaces import BuildContext

from tp_core.testing.minimal.positional_encoding import MinimalOptions


class Minimal(nn.Module):
    """Site `bias`: keys count less the further back they are, at a pace each head learns."""

    def __init__(self, options: MinimalOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.reach = options.reach
        self.slope = nn.Parameter(torch.linspace(1, -3, ctx.n_heads))

    def bias(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        """From positions [B or 1, T] and [B or 1, S] to fp32 [B or 1, H, T, S]."""
        # Keys behind the query are masked elsewhere; here they only have to stay finite.
        distance = (q_pos[:, None, :, None] - k_pos[:, None, None, :]).clamp(min=0)
        return -F.softplus(self.slope.float())[:, None, None] * torch.log1p(distance / self.reach)
