"""Run samplers over various logits and batches for some steps, and compare the runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tp_core.interfaces.sampling import SamplerStep
from tp_core.interfaces.state import State
from tp_core.testing.harness import Harness
from tp_core.testing.inputs import CPU, VOCAB, noise, some_tokens

ROWS = 4
STEPS = 3


def all_logits() -> dict[str, Tensor]:
    """Logits fp32 [ROWS, VOCAB] of every kind a chain may meet, by what they are."""
    spread = 2 * noise("logits", ROWS, VOCAB)
    ids = torch.arange(VOCAB)
    return {
        "spread logits": spread,
        "equal logits": torch.zeros(ROWS, VOCAB),
        "one likely token": spread + 50 * (ids == 3),
        "half of the tokens removed": spread.masked_fill(ids % 2 == 0, -torch.inf),
        "all tokens but one removed": spread.masked_fill(ids != 5, -torch.inf),
        "huge logits": 1e4 * spread,
        "negative logits": spread - 100,
    }


@dataclass(frozen=True, eq=False)
class Batch:
    """What a sampler sees at each of some steps: rows by number, and the tokens they turn into."""

    rows: Tensor = field(default_factory=lambda: torch.arange(ROWS))
    names: Tensor = field(default_factory=lambda: torch.arange(VOCAB))
    key: int = 1

    def steps(self, sampler: Any) -> tuple[list[SamplerStep], list[Tensor]]:
        """The steps, sharing one state, and the token each row takes at each. `names` says what id
        every token goes by."""
        state = _init_state(sampler, len(self.rows))
        prompts = torch.tensor([6, 4, 2, 1])[self.rows]
        history = self.names[_histories()[self.rows]]
        rows = self.rows.numpy().astype(np.int64)
        made = [
            SamplerStep(
                *(history, prompts + at, state, self.key, rows), draw=1, prompt_lengths=prompts
            )
            for at in range(STEPS)
        ]
        taken = [history.gather(1, step.lengths[:, None])[:, 0] for step in made]
        return made, taken


def _histories() -> Tensor:
    """Tokens [ROWS, 6 + STEPS]. The first row goes round in a circle of three, and the second,
    after a token, in one of two: a sampler that minds repeats meets them long and short."""
    history = some_tokens(ROWS, 6 + STEPS, purpose="history")
    index = torch.arange(6 + STEPS)
    history[0] = history[0, index % 3]
    history[1, 1:] = history[1, 1 + index[:-1] % 2]
    return history


def _init_state(sampler: Any, batch: int) -> State:
    state: State = sampler.init_state(batch, CPU) if hasattr(sampler, "init_state") else {}
    return state


def run(sampler: Any, logits: Tensor, batch: Batch | None = None) -> list[Tensor]:
    """Its output at each step, over rows [B, V] of logits."""
    return play(sampler, logits, *(batch or Batch()).steps(sampler))


def play(
    sampler: Any, logits: Tensor, steps: list[SamplerStep], taken: list[Tensor]
) -> list[Tensor]:
    """The same at given steps, the sampler being told the token each row took."""
    outputs = []
    for step, tokens in zip(steps, taken, strict=True):
        outputs.append(sampler(logits.clone(), step))
        if hasattr(sampler, "accept"):
            sampler.accept(tokens, step)
    return outputs


def gap(a: Tensor, b: Tensor) -> float:
    """The largest difference between logits; infinite where another token is removed."""
    if a.shape != b.shape or not torch.equal(a.isneginf(), b.isneginf()):
        return float("inf")
    kept = ~b.isneginf()
    scale = b[kept].abs().max().clamp(min=1)
    return float((a[kept] - b[kept]).abs().max() / scale)


def trace(harness: Harness) -> Mapping[str, Tensor]:
    """What a sampler makes of every kind of logits, removed tokens being a large number."""
    return {
        f"{name}, step {index}": output.nan_to_num(neginf=-1e6)
        for name, logits in all_logits().items()
        for index, output in enumerate(run(harness.build_component(), logits))
    }
