"""Broken attentions that look back at single tokens."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tp_core.interfaces import BuildContext, KVCache, SequenceInfo, State, visible
from tp_core.testing.plain import PlainAttention

Returned = tuple[Tensor, State | None]


class PeeksAhead(PlainAttention):
    """Each token sees a little of the next."""

    def forward(self, x: Tensor, seq: SequenceInfo, state: State | None) -> Returned:
        y, state = super().forward(x, seq, state)
        return y + 0.01 * F.pad(x[:, 1:], (0, 0, 0, 1)), state


class AddsBooleanMask(PlainAttention):
    """Softcapped logits plus a boolean mask: what is masked loses 1, and isn't masked."""

    def forward(self, x: Tensor, seq: SequenceInfo, state: State | None) -> Returned:
        q, k, v = self.qkv(x).unflatten(-1, (3, -1, self.head_dim)).unbind(2)
        logits = 5 * torch.tanh(q.transpose(1, 2) @ k.permute(0, 2, 3, 1) / 5)
        logits = logits + visible(seq, seq.positions, seq.documents)[:, None]
        y = logits.softmax(-1) @ v.transpose(1, 2)
        return self.out(y.transpose(1, 2).flatten(-2)), state


class ShiftsWithoutState(PlainAttention):
    """Mixes in the token before, which a chunk's first token doesn't find."""

    def forward(self, x: Tensor, seq: SequenceInfo, state: State | None) -> Returned:
        before = F.pad(x[:, :-1], (0, 0, 1, 0)) * (seq.positions > 0)[..., None]
        return super().forward(x + 0.1 * before, seq, state)


class ForgetsWindowWhenPlain(PlainAttention):
    """The fast path doesn't know of the window."""

    def forward(self, x: Tensor, seq: SequenceInfo, state: State | None) -> Returned:
        window, self.window = self.window, None if seq.plain else self.window
        y, state = super().forward(x, seq, state)
        self.window = window
        return y, state


class KeepsEverything(PlainAttention):
    """Looks no further back than its window, and caches every token all the same."""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__(options, ctx)
        self.cache = KVCache()


class SharpInBf16(PlainAttention):
    """Goes by way of large numbers, in whatever precision autocast chose."""

    def forward(self, x: Tensor, seq: SequenceInfo, state: State | None) -> Returned:
        y, state = super().forward(x, seq, state)
        return y + 300 - 300, state
