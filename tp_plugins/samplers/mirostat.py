"""Mirostat 2.0 (Basu et al. 2020, arXiv:2007.14966).

The surprise of a token is S(x) = −log2 p(x), in bits, with p the distribution as it reaches this
sampler, before anything is cut. Tokens stay whose surprise is at most μ. Once x is drawn,

    μ ← μ − η·(S(x) − τ),  starting at 2τ,

so that the mean surprise of a row's text goes to τ, as far as a cut can take it: a τ below what the
likeliest tokens have ends in greedy decoding, one above the entropy cuts nothing. Each row has its
own μ, and a prompt doesn't move it. (llama.cpp measures S(x) after the cut, as the authors' code
doesn't; the mean that goes to τ is another one then.)

Equally likely tokens share their fate. Where all would go, the most likely stays, of several the
one with the lowest id. What stands before it in a chain shapes the p it controls: put it last.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tp_core.interfaces import BuildContext, SamplerStep, State
from tp_plugins.samplers import MirostatOptions
from tp_plugins.samplers.greedy import keep_best


class Mirostat:
    def __init__(self, options: MirostatOptions, ctx: BuildContext) -> None:
        self.tau, self.eta, self.vocab_size = options.tau, options.eta, ctx.vocab_size

    def init_state(self, batch: int, device: torch.device) -> State:
        """`mu` [B], and `surprise` [B, V] of every token at the step that is under way."""
        return {
            "mu": torch.full((batch,), 2 * self.tau, dtype=torch.float64, device=device),
            "surprise": torch.zeros(batch, self.vocab_size, device=device),
        }

    def __call__(self, logits: Tensor, step: SamplerStep) -> Tensor:
        surprise = -logits.double().log_softmax(-1) / math.log(2)
        step.state["surprise"] = surprise.float()
        removed = surprise > _tensor(step, "mu")[:, None]
        left = logits.masked_fill(removed, -torch.inf)
        nothing = removed.all(-1, keepdim=True)
        return torch.where(nothing, keep_best(logits), left)

    def accept(self, tokens: Tensor, step: SamplerStep) -> None:
        observed = _tensor(step, "surprise").gather(1, tokens[:, None])[:, 0].double()
        step.state["mu"] = _tensor(step, "mu") - self.eta * (observed - self.tau)


def _tensor(step: SamplerStep, name: str) -> Tensor:
    value = step.state[name]
    assert isinstance(value, Tensor)
    return value
