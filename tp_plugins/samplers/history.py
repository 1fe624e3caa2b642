"""What the samplers share that look at the text so far."""

from __future__ import annotations

import torch
from torch import Tensor

from tp_core.interfaces import SamplerStep


def repeated(step: SamplerStep, most: int) -> Tensor:
    """How many tokens before each token of a row are the ones that now stand at its end, up to
    `most`: int64 [B, L], L being the longest row's length, 0 behind a row's end.

    In `a b c a b` the c has 2: `a b` stands before it, and at the end. Whoever draws a c next has
    repeated three tokens. Takes as many turns as the longest repeat has tokens.
    """
    width = int(step.lengths.max())
    history, lengths = step.history[:, :width], step.lengths[:, None]
    index = torch.arange(width, device=history.device)
    agrees = index < lengths
    found = torch.zeros_like(history)
    for back in range(1, min(most, width - 1) + 1):
        end = history.gather(1, (lengths - back).clamp(min=0))
        # Rolled around come tokens that the index excludes.
        agrees = agrees & (index >= back) & (history.roll(back, 1) == end)
        if not bool(agrees.any()):
            break
        found += agrees
    return found


def penalised(values: Tensor, logits: Tensor) -> Tensor:
    """`values` fp64 in place of `logits` fp32, within what fp32 can hold: however large a penalty
    is, it removes no token, and gives none back."""
    largest = torch.finfo(logits.dtype).max
    within = values.clamp(-largest, largest).to(logits.dtype)
    return torch.where(logits.isneginf(), logits, within)
