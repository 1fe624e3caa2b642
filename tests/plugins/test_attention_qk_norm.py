"""Where softmax attention normalises queries and keys, against PyTorch's own attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_attention_oracles import CLOSE, DEFAULT, DH, SIZES, D, H, harness, heads, merged, model_of
from torch import Tensor

from tp_core.config.plan import load_plan
from tp_core.errors import ConfigError


def turned(t: Tensor) -> Tensor:
    """Rotary embedding of [B, H, T, Dh], feature by feature."""
    out = torch.empty_like(t)
    half = t.shape[-1] // 2
    for position in range(t.shape[2]):
        for i in range(half):
            angle = torch.tensor(position * 10000.0 ** (-i / half))
            a, b = t[:, :, position, i], t[:, :, position, half + i]
            out[:, :, position, i] = a * angle.cos() - b * angle.sin()
            out[:, :, position, half + i] = a * angle.sin() + b * angle.cos()
    return out


def normed(t: Tensor, norm: Any, name: str) -> Tensor:
    """Layernorm or RMS norm over the last axis, from the definitions."""
    inner = norm.inner if name == "layernorm" else norm
    if name == "layernorm":
        centred = t - t.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * inner.weight + inner.bias
    return t / (t.square().mean(-1, keepdim=True) + 1e-6).sqrt() * inner.gain


@torch.no_grad()
@pytest.mark.parametrize("name", ["rmsnorm", "layernorm"])
@pytest.mark.parametrize("kv_heads", [H, 1])
@pytest.mark.parametrize("option", ["qk_norm", "qk_norm_after", "qk_norm_full"])
def test_queries_and_keys_are_normalised_where_the_option_says(
    option: str, kv_heads: int, name: str
) -> None:
    written = f"{{name='softmax', n_kv_heads={kv_heads}, {option}='{name}'}}"
    attention = model_of(f"attention={written}").blocks[0].attention
    x, seq = harness()
    q, k, v = attention.q(x), attention.k(x), heads(attention.v(x), kv_heads)
    if option == "qk_norm_full":
        q, k = normed(q, attention.q_norm, name), normed(k, attention.k_norm, name)
    q, k = heads(q), heads(k, kv_heads)
    if option == "qk_norm":
        q, k = normed(q, attention.q_norm, name), normed(k, attention.k_norm, name)
    q, k = turned(q), turned(k)
    if option == "qk_norm_after":
        q, k = normed(q, attention.q_norm, name), normed(k, attention.k_norm, name)
    y = F.scaled_dot_product_attention(
        q, *(t.repeat_interleave(H // kv_heads, 1) for t in (k, v)), is_causal=True
    )
    expected = attention.out(merged(y))
    torch.testing.assert_close(attention(x, seq, None)[0], expected, **CLOSE)


def test_a_norm_over_all_heads_is_as_wide_as_the_projection() -> None:
    options = "{name='softmax', n_kv_heads=1, qk_norm_full='rmsnorm'}"
    attention = model_of(f"attention={options}").blocks[0].attention
    assert attention.q_norm.gain.shape == (D,)
    assert attention.k_norm.gain.shape == (DH,)


def test_two_norms_on_queries_and_keys_are_refused() -> None:
    options = "{name='softmax', qk_norm='rmsnorm', qk_norm_after='rmsnorm'}"
    sets = [*SIZES, f"model.attention={options}"]
    with pytest.raises(ConfigError) as refusal:
        load_plan(DEFAULT, sets)
    (problem,) = refusal.value.problems
    assert "qk_norm and qk_norm_after are set" in problem.message
