"""How much each attention remembers of the tokens it has seen: as much as theory says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from test_attention_oracles import DH, D, H, model_of
from torch import Tensor

from tp_core.interfaces import SequenceInfo

CAPACITY = 16


def tensors(state: dict[str, Any]) -> Iterator[Tensor]:
    for value in state.values():
        if isinstance(value, dict):
            yield from tensors(value)
        else:
            yield value


def numbers(attention: Any, capacity: int, tokens: int) -> int:
    """Floating point numbers held for one row of `tokens`, in a state with room for `capacity`."""
    x = torch.randn(2, tokens, D)
    state = attention.init_state(2, capacity, x.device, x.dtype)
    seq = SequenceInfo.of_positions(torch.arange(tokens).expand(2, -1))
    _, state = attention(x, seq, state)
    held = list(tensors(state))
    assert all(len(t) == 2 for t in held)
    return sum(t[0].numel() for t in held if t.is_floating_point())


PER_TOKEN = [
    ("{name='softmax'}", 2 * H * DH),
    ("{name='softmax', n_kv_heads=1}", 2 * 1 * DH),
    ("{name='softmax', n_kv_heads=1, qk_norm_full='rmsnorm'}", 2 * 1 * DH),
    ("{name='differential'}", 2 * H * DH),
    ("{name='differential', n_kv_heads=1}", 2 * 1 * DH),
    ("{name='mla', latent=5, d_rope=4}", 5 + 4),
    ("{name='mla', latent=7, d_rope=2, latent_norm='rmsnorm'}", 7 + 2),
]


@torch.no_grad()
@pytest.mark.parametrize(("written", "each"), PER_TOKEN)
def test_a_cache_holds_so_many_numbers_per_token(written: str, each: int) -> None:
    attention = model_of(f"attention={written}", "positional_encoding=rope").blocks[0].attention
    for capacity in (1, 7, CAPACITY):
        assert numbers(attention, capacity, capacity) == capacity * each


@torch.no_grad()
@pytest.mark.parametrize("name", ["softmax", "differential"])
def test_a_window_holds_no_more_tokens_than_it_shows(name: str) -> None:
    options = f"{{name='{name}', window=4}}"
    attention = model_of(f"attention={options}", "positional_encoding=rope").blocks[0].attention
    held = {tokens: numbers(attention, tokens, tokens) for tokens in (2, 4, 5, CAPACITY)}
    each = 2 * H * DH
    assert held == {2: 2 * each, 4: 4 * each, 5: 4 * each, CAPACITY: 4 * each}


@torch.no_grad()
@pytest.mark.parametrize(
    ("written", "all_in_all"),
    [
        ("{name='linear'}", H * DH * (DH + 1)),
        ("{name='gated_delta'}", H * DH * DH + 3 * 3 * H * DH),
        ("{name='gated_delta', conv_width=2}", H * DH * DH + 3 * H * DH),
        ("{name='gated_delta', conv_width=1}", H * DH * DH),
    ],
)
def test_a_recurrence_holds_as_much_whatever_it_has_seen(written: str, all_in_all: int) -> None:
    attention = model_of(f"attention={written}", "positional_encoding=none").blocks[0].attention
    for tokens in (1, 5, CAPACITY):
        assert numbers(attention, CAPACITY, tokens) == all_in_all
        assert numbers(attention, 1000, tokens) == all_in_all


@torch.no_grad()
@pytest.mark.parametrize("name", ["linear", "gated_delta"])
def test_a_recurrence_is_kept_in_fp32_under_autocast(name: str) -> None:
    model = model_of(f"attention={name}", "positional_encoding=none")
    attention = model.blocks[0].attention
    x = torch.randn(1, 5, D)
    state = attention.init_state(1, 5, x.device, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for at in (slice(0, 4), slice(4, 5)):
            seq = SequenceInfo.of_positions(torch.arange(5)[None, at])
            _, state = attention(x[:, at], seq, state)
    assert {t.dtype for t in tensors(state) if t.is_floating_point()} == {torch.float32}
