"""Broken positional encodings."""

from __future__ import annotations

import torch
from torch import Tensor

from tp_core.interfaces import SequenceInfo
from tp_core.testing.site_encodings import AtBias, AtEmbed, AtRotate


class RotatesByIndex(AtRotate):
    """Turns a token by where it stands in the tensor: wrong once a state or a pad comes before."""

    def rotate(self, t: Tensor, positions: Tensor) -> Tensor:
        return super().rotate(t, torch.arange(t.shape[2])[None])


class EmbedsByIndex(AtEmbed):
    def embed(self, x: Tensor, seq: SequenceInfo) -> Tensor:
        return x + torch.sin(torch.arange(x.shape[1])[:, None] * self.frequencies)


class UndeclaredSite(AtRotate):
    """Its descriptor says that it needs no site."""


class BiasWithoutHeads(AtBias):
    """[B, 1, T, S]: it broadcasts, until someone repeats or slices heads."""

    def bias(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        return super().bias(q_pos, k_pos)[:, :1]
