"""Squared ReLU (So et al. 2021, Primer, arXiv:2109.08668, section 4).

y = W2·max(0, W1·x)²
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from tp_core.interfaces import BuildContext
from tp_plugins.mlps import UngatedOptions
from tp_plugins.mlps.ungated import Ungated


class Relu2(Ungated):
    """x [B, T, D] -> y [B, T, D]"""

    def __init__(self, options: UngatedOptions, ctx: BuildContext) -> None:
        super().__init__(options, ctx, squared_relu)


def squared_relu(z: Tensor) -> Tensor:
    """max(0, z)², elementwise."""
    return F.relu(z).square()
