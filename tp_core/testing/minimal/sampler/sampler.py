"""Epsilon sampling (Hewitt et al. 2022, arXiv:2210.15191, section 4).

    token i stays if p_i ≥ epsilon, or if no token is more likely

What a sampler must hold:

- `__call__(logits)` takes fp32 [B, V] and returns the same shape; −inf is a token removed. At least
  one stays in every row, and what was removed by an earlier sampler stays removed.
- Rows don't influence each other, and its input is left as it is.
- The core draws the token. A sampler that draws too declares `__call__(logits, step)` and asks
  `step.uniform(n)`; `step.history` [B, L] and `step.lengths` [B] are the tokens so far.
- One with a memory declares `init_state(batch, device)`, a dict of tensors with the rows on dim 0,
  finds it in `step.state`, and hears what was drawn by `accept(tokens, step)`.
"""

import torch
from torch import Tensor
from tp_core.interfaces import BuildContext

from tp_core.testing.minimal.sampler import MinimalOptions


class Minimal:
    def __init__(self, options: MinimalOptions, ctx: BuildContext) -> None:
        self.epsilon = options.epsilon

    def __call__(self, logits: Tensor) -> Tensor:
        """logits [B, V] -> logits [B, V]"""
        probabilities = logits.softmax(-1)
        unlikely = probabilities < self.epsilon
        most_likely = probabilities == probabilities.amax(-1, keepdim=True)
        return logits.masked_fill(unlikely & ~most_likely, -torch.inf)
