"""What a sampler may know beside the logits it reshapes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from tp_core.interfaces.state import State
from tp_core.rng import counter_uniform


@dataclass(frozen=True, eq=False)
class SamplerStep:
    """One step of a batch of B rows, as one sampler of the chain sees it.

    - `history` int64 [B, L]: each row's tokens so far, prompt included, left-aligned;
    - `lengths` int64 [B]: how many of them count;
    - `prompt_lengths` int64 [B]: how many of these are the prompt's, the start token included;
    - `state`: what this sampler's `init_state(batch)` made, rows kept in step with the batch.
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
        """How many tokens each row has drawn so far, int64 [B]."""
        return self.lengths - self.prompt_lengths

    def uniform(self, n: int = 1) -> Tensor:
        """Uniforms in [0, 1), fp64 [B, n], from a hash of (seed, row, position, sampler).

        They depend on nothing else, so a row draws the same in any batch.
        """
        positions = self.lengths.cpu().numpy()
        values = counter_uniform(self.key, self.rows, positions, self.draw, n)
        return torch.from_numpy(values).to(self.history.device)
