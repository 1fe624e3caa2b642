"""Swish-gated linear unit (Shazeer 2020, arXiv:2002.05202, equation 6).

    y = W2·(silu(W·x) ⊙ V·x),    silu(z) = z·σ(z)

Three matrices instead of two: an expansion of 8/3 costs what 4 costs the plain MLP.
"""

from __future__ import annotations

import torch.nn.functional as F

from tp_core.interfaces import BuildContext
from tp_plugins.mlps import GatedOptions
from tp_plugins.mlps.gated import Gated


class Swiglu(Gated):
    """x [B, T, D] -> y [B, T, D]"""

    def __init__(self, options: GatedOptions, ctx: BuildContext) -> None:
        super().__init__(options, ctx, F.silu)
