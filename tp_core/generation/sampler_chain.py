"""From logits to tokens: the config's chain of samplers, and the draw at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tp_core.assembly.attribution import attribute_errors
from tp_core.assembly.builder import Builder
from tp_core.assembly.decoding_state import reorder
from tp_core.config.components import ResolvedComponent
from tp_core.config.plan import Plan
from tp_core.data.tokenizer import UNK_ID, Tokenizer
from tp_core.errors import RunFailed
from tp_core.interfaces.sampling import SamplerStep
from tp_core.interfaces.state import State
from tp_core.interfaces.vocabulary import Vocabulary
from tp_core.rng import counter_uniform, derive_seed


class SamplerChain:
    """The samplers of a plan, applied in order. What they keep between steps is passed in and out:
    the chain itself holds no batch."""

    def __init__(self, plan: Plan, vocab_size: int, vocabulary: Vocabulary | None = None) -> None:
        builder = Builder(plan, vocab_size, vocabulary)
        self.resolved: Sequence[ResolvedComponent] = plan.samplers
        self.samplers: list[Any] = [
            builder.build(resolved, f"samplers.{index}")
            for index, resolved in enumerate(self.resolved)
        ]
        self._built = builder.built

    @classmethod
    def of(cls, plan: Plan, tokenizer: Tokenizer) -> SamplerChain:
        """The chain for what is drawn in this tokenizer's ids."""
        vocabulary = Vocabulary(
            pieces=tokenizer.piece_bytes,
            pad_id=tokenizer.pad_id,
            bos_id=tokenizer.bos_id,
            eos_id=tokenizer.eos_id,
            unk_id=UNK_ID,
        )
        return cls(plan, tokenizer.vocab_size, vocabulary)

    def init_states(self, batch: int, device: torch.device) -> list[State]:
        """One state per sampler for a batch of rows."""
        with attribute_errors(self._built):
            return [
                s.init_state(batch, device) if hasattr(s, "init_state") else {}
                for s in self.samplers
            ]

    def draw(
        self,
        logits: Tensor,
        history: Tensor,
        lengths: Tensor,
        rows: NDArray[np.int64],
        states: list[State],
        seed: int,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """One token for each of B rows, int64 [B].

        `logits` fp32 [B, V]; `history` int64 [B, L] and `lengths` [B] are the tokens so far, and
        the first `prompt_lengths` [B] of them the prompt's (all, unless told otherwise); `rows`
        int64 [B] name each row's stream, so a row draws the same in any batch.
        """
        prompt_lengths = lengths if prompt_lengths is None else prompt_lengths
        key = derive_seed(seed, "sample")
        steps = []
        for index, (sampler, state) in enumerate(zip(self.samplers, states, strict=True)):
            step = SamplerStep(
                *(history, lengths, state, key, rows), draw=index + 1, prompt_lengths=prompt_lengths
            )
            steps.append(step)
            with attribute_errors(self._built):
                reshaped = sampler(logits, step)
            self._check(index, reshaped, logits.shape)
            logits = reshaped.float()
        uniform = counter_uniform(key, rows, lengths.cpu().numpy(), 0, 1)
        tokens = _inverse_cdf(logits, torch.from_numpy(uniform).to(logits.device))
        with attribute_errors(self._built):
            for sampler, step in zip(self.samplers, steps, strict=True):
                if hasattr(sampler, "accept"):
                    sampler.accept(tokens, step)
        return tokens

    def _check(self, index: int, logits: Any, shape: torch.Size) -> None:
        name = self.resolved[index].name
        if not isinstance(logits, Tensor) or logits.shape != shape:
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise RunFailed(
                f"sampler '{name}' returned {found}, not logits of shape {tuple(shape)}"
            )
        largest = logits.amax(-1)
        if not bool(torch.isfinite(largest).all()):  # NaN is the largest of its row
            raise RunFailed(f"sampler '{name}' left a row without any token, or with NaN or +inf")


def _inverse_cdf(logits: Tensor, uniform: Tensor) -> Tensor:
    """The token at which each row's cumulative distribution passes `uniform` [B, 1]."""
    cumulative = logits.double().softmax(-1).cumsum(-1)
    tokens = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)
    # Rounding may land beyond the last token that has any probability.
    ids = torch.arange(logits.shape[-1], device=logits.device)
    last = torch.where(torch.isfinite(logits), ids, -1).amax(-1, keepdim=True)
    return torch.minimum(tokens, last)[:, 0]


def reorder_states(states: list[State], rows: Tensor) -> list[State]:
    """Every sampler's state with rows picked as the batch's were."""
    return [reorder(state, rows) for state in states]
