"""Eta sampling (Hewitt et al. 2022, arXiv:2210.15191, section 4).

    token i stays if p_i ≥ η,    η = min(ε, √ε · e^(−H)),  H the entropy of p in nats

and the likeliest tokens stay in any case. Equally likely ones share their fate.
"""

import torch
from torch import Tensor

from tp_core.interfaces import BuildContext
from tp_toolbox import EtaOptions


class Eta:
    def __init__(self, options: EtaOptions, ctx: BuildContext) -> None:
        self.epsilon = options.epsilon

    def __call__(self, logits: Tensor) -> Tensor:
        """logits fp32 [B, V] -> logits [B, V]"""
        p = logits.softmax(-1)
        entropy = -torch.special.xlogy(p, p).sum(-1, keepdim=True)
        eta = (self.epsilon**0.5 * torch.exp(-entropy)).clamp(max=self.epsilon)
        most_likely = p == p.amax(-1, keepdim=True)
        return logits.masked_fill((p < eta) & ~most_likely, -torch.inf)
