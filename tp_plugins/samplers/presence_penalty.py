"""Presence penalty (OpenAI, API reference): logit(x) − penalty, for every x that was drawn.

What counts is what was drawn since the prompt, as in OpenAI's definition; tokens of the prompt
don't. How often makes no difference. A negative penalty encourages repeats. Nothing is removed,
equal logits of tokens drawn, or not drawn, stay equal, and 0 changes nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tp_core.interfaces import BuildContext, SamplerStep, State
from tp_plugins.samplers import PresencePenaltyOptions
from tp_plugins.samplers.history import penalised


class PresencePenalty:
    def __init__(self, options: PresencePenaltyOptions, ctx: BuildContext) -> None:
        self.penalty, self.vocab_size = options.penalty, ctx.vocab_size

    def init_state(self, batch: int, device: torch.device) -> State:
        """`drawn` bool [B, V]: whether a token was."""
        return {"drawn": torch.zeros(batch, self.vocab_size, dtype=torch.bool, device=device)}

    def __call__(self, logits: Tensor, step: SamplerStep) -> Tensor:
        return penalised(logits.double() - self.penalty * _drawn(step), logits)

    def accept(self, tokens: Tensor, step: SamplerStep) -> None:
        _drawn(step).scatter_(1, tokens[:, None], True)


def _drawn(step: SamplerStep) -> Tensor:
    drawn = step.state["drawn"]
    assert isinstance(drawn, Tensor)
    return drawn
