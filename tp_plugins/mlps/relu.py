"""The first transformer's MLP (Vaswani et al. 2017, arXiv:1706.03762, equation 2).

y = W2·max(0, W1·x)
"""

from __future__ import annotations

import torch.nn.functional as F

from tp_core.interfaces import BuildContext
from tp_plugins.mlps import UngatedOptions
from tp_plugins.mlps.ungated import Ungated


class Relu(Ungated):
    """x [B, T, D] -> y [B, T, D]"""

    def __init__(self, options: UngatedOptions, ctx: BuildContext) -> None:
        super().__init__(options, ctx, F.relu)
