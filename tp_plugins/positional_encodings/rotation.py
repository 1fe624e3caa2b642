"""Turning pairs of features by angles given as their cosines and sines: what rotations share."""

from __future__ import annotations

import torch
from torch import Tensor


def turn_halves(t: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """t [..., D] with features i and i + D/2 as pairs; cos and sin [..., D] hold an angle at both.

    Computed in fp32 and handed back in t's dtype.
    """
    a, b = t.float().chunk(2, dim=-1)
    return (t * cos + torch.cat([-b, a], dim=-1) * sin).type_as(t)


def turn_neighbours(t: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The same with features 2i and 2i + 1 as pairs."""
    t_fp32 = t.float()
    a, b = t_fp32[..., ::2], t_fp32[..., 1::2]
    return (t * cos + torch.stack([-b, a], dim=-1).flatten(-2) * sin).type_as(t)
