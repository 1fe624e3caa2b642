"""The plain transformer MLP with a Gaussian error linear unit (arXiv:1606.08415, section 2).

    y = W2·gelu(W1·x),    gelu(z) = z·Φ(z), Φ the standard normal distribution function

With `approximate = "tanh"`, Φ(z) is ½·(1 + tanh(√(2/π)·(z + 0.044715·z³))), as in GPT-2.
"""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F

from tp_core.interfaces import BuildContext
from tp_plugins.mlps import GeluOptions
from tp_plugins.mlps.ungated import Ungated


class Gelu(Ungated):
    """x [B, T, D] -> y [B, T, D]"""

    def __init__(self, options: GeluOptions, ctx: BuildContext) -> None:
        super().__init__(options, ctx, partial(F.gelu, approximate=options.approximate))
