"""A least number of new tokens, as MinNewTokensLengthLogitsProcessor of transformers (Wolf et al.
2020) has it: until n tokens were drawn, the end token is removed. The prompt doesn't count.

Where an earlier sampler left nothing but the end token, it stays. A model of continuous text never
draws one, and nothing changes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tp_core.interfaces import BuildContext, SamplerStep
from tp_plugins.samplers import MinNewTokensOptions


class MinNewTokens:
    uses_ids = True

    def __init__(self, options: MinNewTokensOptions, ctx: BuildContext) -> None:
        if ctx.vocabulary is None:
            raise ValueError("it must know which token is the end")
        self.n, self.end = options.n, ctx.vocabulary.eos_id

    def __call__(self, logits: Tensor, step: SamplerStep) -> Tensor:
        others = logits.clone()
        others[:, self.end] = -torch.inf
        early = (step.drawn < self.n) & others.isfinite().any(-1)
        return torch.where(early[:, None], others, logits)
