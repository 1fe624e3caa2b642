"""Frequency penalty (OpenAI, API reference): logit(x) − penalty · (how often x was drawn).

What counts is what was drawn since the prompt, as in OpenAI's definition; tokens of the prompt
don't. A negative penalty encourages repeats. Nothing is removed, equal logits of tokens drawn
equally often stay equal, and 0 changes nothing. OpenAI calls 0.1 to 1 reasonable.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tp_core.interfaces import BuildContext, SamplerStep, State
from tp_plugins.samplers import FrequencyPenaltyOptions
from tp_plugins.samplers.history import penalised


class FrequencyPenalty:
    def __init__(self, options: FrequencyPenaltyOptions, ctx: BuildContext) -> None:
        self.penalty, self.vocab_size = options.penalty, ctx.vocab_size

    def init_state(self, batch: int, device: torch.device) -> State:
        """`counts` int64 [B, V] of the tokens drawn."""
        return {"counts": torch.zeros(batch, self.vocab_size, dtype=torch.int64, device=device)}

    def __call__(self, logits: Tensor, step: SamplerStep) -> Tensor:
        return penalised(logits.double() - self.penalty * _counts(step), logits)

    def accept(self, tokens: Tensor, step: SamplerStep) -> None:
        _counts(step).scatter_add_(1, tokens[:, None], torch.ones_like(tokens)[:, None])


def _counts(step: SamplerStep) -> Tensor:
    counts = step.state["counts"]
    assert isinstance(counts, Tensor)
    return counts
