"""Sigmoid linear unit (Elfwing et al. 2017, arXiv:1702.03118; Swish with β = 1, Ramachandran et al.
2017, arXiv:1710.05941).

y = W2·silu(W1·x),    silu(z) = z·σ(z)
"""

from __future__ import annotations

import torch.nn.functional as F

from tp_core.interfaces import BuildContext
from tp_plugins.mlps import UngatedOptions
from tp_plugins.mlps.ungated import Ungated


class Silu(Ungated):
    """x [B, T, D] -> y [B, T, D]"""

    def __init__(self, options: UngatedOptions, ctx: BuildContext) -> None:
        super().__init__(options, ctx, F.silu)
