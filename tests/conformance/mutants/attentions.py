"""Broken attentions that look back at single tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tp_core.interfaces import BuildContext, KVCache, KVEntries, SequenceInfo, State, visible
from tp_core.testing.minimal.attention.attention import Minimal

Returned = tuple[Tensor, State | None]


class PeeksAhead(Minimal):
    """Each token sees a little of the next."""

    def forward(self, x: Tensor, seq: SequenceInfo, state: State | None) -> Returned:
        y, state = super().forward(x, seq, state)
        return y + 0.01 * F.pad(x[:, 1:], (0, 0, 0, 1)), state


class AddsBooleanMask(Minimal):
    """Softcapped logits plus a boolean mask: what is masked loses 1, and isn't masked."""

    def forward(self, x: Tensor, seq: SequenceInfo, state: State | None) -> Returned:
        q, k, v = (self.by_head(project(x)) for project in (self.q, self.k, self.v))
        logits = 5 * torch.tanh(q @ k.transpose(-1, -2) / 5)
        logits = logits + visible(seq, seq.positions, seq.documents)[:, None]
        y = logits.softmax(-1) @ v
        return self.out(y.transpose(1, 2).flatten(-2)), state


class ShiftsWithoutState(Minimal):
    """Mixes in the token before, which a chunk's first token doesn't find."""

    def forward(self, x: Tensor, seq: SequenceInfo, state: State | None) -> Returned:
        before = F.pad(x[:, :-1], (0, 0, 1, 0)) * (seq.positions > 0)[..., None]
        return super().forward(x + 0.1 * before, seq, state)


class ForgetsWindowWhenCausalOnly(Minimal):
    """The fast path doesn't know of the window."""

    def forward(self, x: Tensor, seq: SequenceInfo, state: State | None) -> Returned:
        window = self.cache.window
        self.cache.window = None if seq.causal_only else window
        y, state = super().forward(x, seq, state)
        self.cache.window = window
        return y, state


class _Endless(KVCache):
    def init_state(self, *sizes: Any) -> State:
        return KVCache(self.encoding).init_state(*sizes)

    def append(self, *args: Any, **tensors: Tensor) -> KVEntries:
        return replace(KVCache(self.encoding).append(*args, **tensors), window=self.window)


class KeepsEverything(Minimal):
    """Looks no further back than its window, and caches every token all the same."""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__(options, ctx)
        self.cache = _Endless(self.encoding, window=options.window)


class SharpInBf16(Minimal):
    """Goes by way of large numbers, in whatever precision autocast chose."""

    def forward(self, x: Tensor, seq: SequenceInfo, state: State | None) -> Returned:
        y, state = super().forward(x, seq, state)
        return y + 300 - 300, state
