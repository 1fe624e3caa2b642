"""The information available to samplers besides the logits."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from tp_core.interfaces.state import State
from tp_core.rng import counter_uniform


@dataclass(frozen=True, eq=False)
class SamplerStep:
    """One step of a batch of B rows, as passed to one sampler of the chain.

    - `history` int64 [B, L]: each row's tokens so far, including the prompt, left-aligned;
    - `lengths` int64 [B]: how many of them are valid;
    - `prompt_lengths` int64 [B]: how many of these are the prompt's, including the start token;
    - `state`: this sampler's state from `init_state`, with rows matching the batch.
    """

    history: Tensor
    lengths: Tensor
    state: State
    key: int = 0
    rows: np.ndarray[tuple[int], np.dtype[np.int64]] = field(
        default_factory=lambda: np.zeros(0, np.int64)
    )
    draw: int = 0
    prompt_lengths: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))

    @property
    def drawn(self) -> Tensor:
        """The number of tokens drawn so far in each row, int64 [B]."""
        return self.lengths - self.prompt_lengths

    def uniform(self, n: int = 1) -> Tensor:
        """Uniform numbers in [0, 1), fp64 [B, n], from a hash of (seed, row, position, sampler).

        They depend on nothing else, so a row draws the same numbers in any batch.
        """
        positions = self.lengths.cpu().numpy()
        values = counter_uniform(self.key, self.rows, positions, self.draw, n)
        return torch.from_numpy(values).to(self.history.device)
