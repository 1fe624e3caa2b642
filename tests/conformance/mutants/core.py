"""Faults in the core itself, each put in place of one function for the length of a test."""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tp_core.assembly.builder import Builder
from tp_core.interfaces import KVCache, KVEntries, PositionalEncoding, SequenceInfo, State

# The package has a function of the module's name.
ATTEND = importlib.import_module("tp_core.interfaces.attend")
BUILD = importlib.import_module("tp_core.assembly.start_values")

Patch = Callable[[pytest.MonkeyPatch], None]


def _visible(rule: Callable[[Tensor, Tensor, Tensor, int | None], Tensor]) -> Patch:
    """`visible` with another rule, of distances, key positions and equal documents."""

    def visible(
        seq: SequenceInfo, positions: Tensor, documents: Tensor, window: int | None = None
    ) -> Tensor:
        distance = seq.positions[:, :, None] - positions[:, None, :]
        same = seq.documents[:, :, None] == documents[:, None, :]
        return rule(distance, positions[:, None, :], same, window)

    return lambda monkeypatch: monkeypatch.setattr(ATTEND, "visible", visible)


def _within(distance: Tensor, window: int | None) -> Tensor:
    return (distance >= 0) & (distance < (math.inf if window is None else window))


document_mask_missing = _visible(
    lambda distance, at, same, window: _within(distance, window) & (at >= 0)
)
pad_keys_visible = _visible(lambda distance, at, same, window: _within(distance, window) & same)
window_off_by_one = _visible(
    lambda distance, at, same, window: _within(distance, window and window + 1) & (at >= 0) & same
)


def causal_by_index_with_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """`is_causal` lets query i see slot i and before, whatever tokens these hold."""
    original = ATTEND.attend

    def attend(q: Tensor, kv: KVEntries, *rest: Any, **options: Any) -> Tensor:
        if not kv.cached:
            return original(q, kv, *rest, **options)
        k, v = kv["k"].transpose(1, 2), kv["v"].transpose(1, 2)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    monkeypatch.setattr("tp_core.testing.minimal.attention.attention.attend", attend)


def cache_one_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of W with W − 1 slots."""
    original = KVCache.init_state

    def init_state(self: KVCache, batch: int, capacity: int, *rest: Any) -> State:
        return original(self, batch, min(capacity, (self.window or capacity + 1) - 1), *rest)

    monkeypatch.setattr(KVCache, "init_state", init_state)


def evicts_by_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows share one count of steps, so that a row that idled loses tokens it still needs."""
    original = KVCache.append

    def append(
        self: KVCache, state: State | None, seq: SequenceInfo, x: Tensor, **tensors: Tensor
    ) -> KVEntries:
        if state is not None:
            steps = state.setdefault("steps", torch.zeros_like(seq.positions[:, 0]))
            assert isinstance(steps, Tensor)
            state["count"] = steps
            kv = original(self, state, seq, x, **tensors)
            state["steps"] = steps + seq.positions.shape[1]
            return kv
        return original(self, state, seq, x, **tensors)

    monkeypatch.setattr(KVCache, "append", append)


def bias_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PositionalEncoding, "bias", lambda self, q_positions, k_positions: None)


def score_sees_no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoding's own state isn't handed to it."""
    original = PositionalEncoding.features

    def features(
        self: PositionalEncoding, x: Tensor, seq: SequenceInfo, state: Any
    ) -> Tensor | None:
        return original(self, x, seq, None)

    monkeypatch.setattr(PositionalEncoding, "features", features)


def start_not_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start values come from wherever the global generator stands."""

    @contextlib.contextmanager
    def seeded(self: Builder, path: str) -> Iterator[None]:
        yield

    monkeypatch.setattr(Builder, "seeded", seeded)


def start_ignores_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = BUILD.derive_seed
    monkeypatch.setattr(BUILD, "derive_seed", lambda seed, *rest: original(0, *rest))
