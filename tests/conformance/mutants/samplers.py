"""Broken samplers, and two correct ones: `Gumbel`, which draws, and `Memory`, which remembers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tp_core.interfaces import SamplerStep, State


class Sampler:
    def __init__(self, options: Any, ctx: Any) -> None:
        self.options = options


class Gumbel(Sampler):
    """Adds Gumbel noise, so that the largest logit is a draw. This one is right."""

    def __call__(self, logits: Tensor, step: SamplerStep) -> Tensor:
        return logits - torch.log(-torch.log(self.uniform(logits, step).clamp(1e-9, 1 - 1e-6)))

    def uniform(self, logits: Tensor, step: SamplerStep) -> Tensor:
        return step.uniform(logits.shape[1]).float()


class GlobalGenerator(Gumbel):
    def uniform(self, logits: Tensor, step: SamplerStep) -> Tensor:
        return torch.rand_like(logits)


class FixedNumbers(Gumbel):
    """Asks for uniforms, and uses the same ones for every seed."""

    def uniform(self, logits: Tensor, step: SamplerStep) -> Tensor:
        step.uniform(1)
        return torch.linspace(0.1, 0.9, logits.shape[1]).expand_as(logits)


class Memory(Sampler):
    """Takes 1 off a token's logit each time it was drawn. This one is right."""

    def init_state(self, batch: int, device: torch.device) -> State:
        return {"counts": torch.zeros(batch, 29, device=device)}

    def __call__(self, logits: Tensor, step: SamplerStep) -> Tensor:
        return logits - self.counts(step)

    def accept(self, tokens: Tensor, step: SamplerStep) -> None:
        self.counts(step).scatter_add_(1, tokens[:, None], torch.ones(len(tokens), 1))

    def counts(self, step: SamplerStep) -> Tensor:
        counts = step.state["counts"]
        assert isinstance(counts, Tensor)
        return counts


class MemoryBatchLast(Memory):
    def init_state(self, batch: int, device: torch.device) -> State:
        return {"counts": torch.zeros(29, batch, device=device)}

    def counts(self, step: SamplerStep) -> Tensor:
        return super().counts(step).transpose(0, 1)


class KeepsNothing(Sampler):
    """Removes every token that is less than certain."""

    def __call__(self, logits: Tensor) -> Tensor:
        return logits.masked_fill(logits.softmax(-1) < 0.9, -torch.inf)


class DependsOnBatch(Sampler):
    """A threshold over all rows."""

    def __call__(self, logits: Tensor) -> Tensor:
        best = logits.amax(-1, keepdim=True)
        return logits.masked_fill((logits < logits.mean()) & (logits < best), -torch.inf)


class Revives(Sampler):
    """Smooths removed tokens back to life."""

    def __call__(self, logits: Tensor) -> Tensor:
        return logits.clamp(min=-1e4)


class Overflows(Sampler):
    def __call__(self, logits: Tensor) -> Tensor:
        return logits.exp().log()


class InPlace(Sampler):
    def __call__(self, logits: Tensor) -> Tensor:
        return logits.div_(2)


class PrefersLowIds(Sampler):
    def __call__(self, logits: Tensor) -> Tensor:
        return logits - 0.01 * torch.arange(logits.shape[1])


class CutsAtOne(Sampler):
    """Top-p that asks whether the mass so far, the token's own included, stays below p."""

    def __call__(self, logits: Tensor) -> Tensor:
        values, order = logits.sort(-1, descending=True)
        removed = values.softmax(-1).cumsum(-1) >= self.options.p
        removed[:, 0] = False
        return logits.masked_fill(torch.zeros_like(removed).scatter(1, order, removed), -torch.inf)


class ReadsOnward(Sampler):
    """Penalises every token in the history, whatever its length."""

    def __call__(self, logits: Tensor, step: SamplerStep) -> Tensor:
        return logits.scatter_add(1, step.history, -torch.ones_like(step.history).float())
