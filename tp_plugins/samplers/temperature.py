"""Temperature (Ackley et al. 1985): softmax(logits / T).

T < 1 sharpens the distribution, T > 1 flattens it, and T = 0 is its limit, greedy decoding.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from tp_plugins.samplers import TemperatureOptions
from tp_plugins.samplers.greedy import keep_best


class Temperature:
    def __init__(self, options: TemperatureOptions, ctx: Any) -> None:
        self.temperature = options.temperature

    def __call__(self, logits: Tensor) -> Tensor:
        if self.temperature == 0:
            return keep_best(logits)
        # Centred on the largest first, or a very small temperature would overflow to inf − inf; and
        # in fp64, where no temperature there is rounds to infinity.
        centred = (logits - logits.amax(-1, keepdim=True)).double()
        return (centred / self.temperature).to(logits.dtype)
