"""Attentions and encodings against second implementations, written out token by token."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tp_core.config.plan import load_plan
from tp_core.interfaces import SequenceInfo
from tp_core.model.decoder import Decoder

DEFAULT = Path(__file__).parents[2] / "configs" / "default.toml"
SIZES = ["model.d_model=24", "model.n_heads=3", "model.n_layers=2", "model.max_seq_len=16"]
B, T, D, H, DH = 2, 11, 24, 3, 8
CLOSE = {"atol": 2e-5, "rtol": 1e-5}


def model_of(*sets: str) -> Decoder:
    """A tiny model whose every parameter is away from its start, zeros included."""
    model = Decoder(load_plan(DEFAULT, [*SIZES, *(f"model.{text}" for text in sets)]), 32).eval()
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def harness() -> tuple[Tensor, SequenceInfo]:
    torch.manual_seed(7)
    return torch.randn(B, T, D), SequenceInfo.of_positions(torch.arange(T).expand(B, T))


def heads(x: Tensor, n: int = H) -> Tensor:
    return x.unflatten(-1, (n, -1)).transpose(1, 2)


def turned(t: Tensor, base: float = 10000.0) -> Tensor:
    """Rotary embedding, pair by pair, as complex numbers."""
    half = t.shape[-1] // 2
    points = torch.complex(t[..., :half], t[..., half:])
    speeds = torch.tensor([base ** (-i / half) for i in range(half)])
    angles = torch.arange(t.shape[-2])[:, None] * speeds
    points = points * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([points.real, points.imag], -1)


def weigh(
    q: Tensor, k: Tensor, v: Tensor, change: Any = None, sink: Tensor | None = None
) -> Tensor:
    """Softmax attention, query by query; `change(logits, i)` edits logits [B, H, i + 1]."""
    out = torch.zeros(*q.shape[:3], v.shape[-1])
    for i in range(q.shape[2]):
        logits = (q[:, :, i : i + 1] * k[:, :, : i + 1]).sum(-1) / math.sqrt(q.shape[-1])
        logits = change(logits, i) if change else logits
        exponents = torch.exp(logits)
        total = exponents.sum(-1) + (torch.exp(sink) if sink is not None else 0)
        out[:, :, i] = (exponents[..., None] * v[:, :, : i + 1]).sum(2) / total[..., None]
    return out


def merged(y: Tensor) -> Tensor:
    return y.transpose(1, 2).flatten(-2)


@torch.no_grad()
def test_alibi_subtracts_slope_times_distance() -> None:
    model = model_of("positional_encoding=alibi")
    attention, (x, seq) = model.blocks[0].attention, harness()
    # Three heads: the two slopes of two heads, then the first of those that four heads add.
    slopes = torch.tensor([2**-4, 2**-8, 2**-2])
    q, k, v = (heads(layer(x)) for layer in (attention.q, attention.k, attention.v))

    def change(logits: Tensor, i: int) -> Tensor:
        return logits - slopes[:, None] * (i - torch.arange(i + 1))

    expected = attention.out(merged(weigh(q, k, v, change)))
    torch.testing.assert_close(attention(x, seq, None)[0], expected, **CLOSE)


@pytest.mark.parametrize(
    ("n_heads", "expected"),
    [
        (1, [2**-8]),
        (2, [2**-4, 2**-8]),
        (8, [2.0**-h for h in range(1, 9)]),
        (6, [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]),
        (12, [2.0**-h for h in range(1, 9)] + [2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5]),
    ],
)
def test_alibi_slopes_for_any_number_of_heads(n_heads: int, expected: list[float]) -> None:
    from tp_plugins.positional_encodings.alibi import slopes

    assert slopes(n_heads) == pytest.approx(expected)


@torch.no_grad()
def test_fox_multiplies_weights_by_the_gates_in_between() -> None:
    model = model_of("positional_encoding=fox")
    attention, (x, seq) = model.blocks[0].attention, harness()
    gate = attention.encoding.component.gate
    forget = torch.sigmoid(gate(x)).transpose(1, 2)  # [B, H, T]
    q, k, v = (heads(layer(x)) for layer in (attention.q, attention.k, attention.v))

    def change(logits: Tensor, i: int) -> Tensor:
        kept = [forget[:, :, j + 1 : i + 1].prod(-1) for j in range(i + 1)]
        return logits + torch.log(torch.stack(kept, -1))

    expected = attention.out(merged(weigh(q, k, v, change)))
    torch.testing.assert_close(attention(x, seq, None)[0], expected, **CLOSE)


@torch.no_grad()
def test_fox_gates_belong_to_their_layer() -> None:
    model = model_of("positional_encoding=fox")
    first, second = (block.attention.encoding.component for block in model.blocks)
    assert first is not second
    names = [name for name, _ in model.named_parameters() if "fox" in name]
    assert len(names) == 4


@torch.no_grad()
def test_sinusoids_are_the_papers() -> None:
    model = model_of("positional_encoding=sinusoidal")
    x, seq = harness()
    waves = torch.zeros(T, D)
    for n in range(T):
        for i in range(0, D, 2):
            waves[n, i] = math.sin(n / 10000 ** (i / D))
            waves[n, i + 1] = math.cos(n / 10000 ** (i / D))
    (encoding,) = model.encodings.values()
    torch.testing.assert_close(encoding.embed(x, seq), math.sqrt(D) * x + waves, **CLOSE)


@torch.no_grad()
def test_softmax_options_together() -> None:
    options = "softcap=1.5, sink=true, gate=true, n_kv_heads=1, window=4, bias=true"
    model = model_of(f"attention={{name='softmax', {options}}}")
    attention, (x, seq) = model.blocks[0].attention, harness()
    q, k = turned(heads(attention.q(x))), turned(heads(attention.k(x), 1))
    v = heads(attention.v(x), 1)

    def change(logits: Tensor, i: int) -> Tensor:
        logits = 1.5 * torch.tanh(logits / 1.5)
        return logits.masked_fill(i - torch.arange(i + 1) >= 4, -math.inf)

    y = merged(weigh(q, k, v, change, attention.sink.expand(B, H)))
    expected = attention.out(y * torch.sigmoid(attention.gate(x)))
    torch.testing.assert_close(attention(x, seq, None)[0], expected, **CLOSE)


@torch.no_grad()
def test_value_residual_mixes_in_the_first_layers_values() -> None:
    model = model_of("attention={name='softmax', value_residual=0.25}")
    first, second = (block.attention for block in model.blocks)
    x, seq = harness()
    torch.manual_seed(8)
    later = torch.randn(B, T, D)
    first(x, seq, None)
    y, _ = second(later, seq, None)
    q, k = turned(heads(second.q(later))), turned(heads(second.k(later)))
    v = 0.25 * heads(first.v(x)) + 0.75 * heads(second.v(later))
    torch.testing.assert_close(y, second.out(merged(weigh(q, k, v))), **CLOSE)


@torch.no_grad()
def test_a_norm_on_queries_and_keys_acts_per_head_before_rotation() -> None:
    model = model_of("attention={name='softmax', qk_norm='layernorm'}")
    attention, (x, seq) = model.blocks[0].attention, harness()
    q, k = heads(attention.q(x)), heads(attention.k(x))
    for norm in (attention.q_norm, attention.k_norm):
        assert norm.inner.weight.shape == (DH,)
    q = torch.nn.functional.layer_norm(
        q, (DH,), attention.q_norm.inner.weight, attention.q_norm.inner.bias
    )
    k = torch.nn.functional.layer_norm(
        k, (DH,), attention.k_norm.inner.weight, attention.k_norm.inner.bias
    )
    y = weigh(turned(q), turned(k), heads(attention.v(x)))
    torch.testing.assert_close(attention(x, seq, None)[0], attention.out(merged(y)), **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("decay", ["none", "fixed", "learned"])
@pytest.mark.parametrize("encoding", ["none", "rope"])
def test_linear_attention_is_its_recurrence(decay: str, encoding: str) -> None:
    model = model_of(
        f"attention={{name='linear', decay='{decay}'}}", f"positional_encoding={encoding}"
    )
    attention, (x, seq) = model.blocks[0].attention, harness()
    if decay == "none":
        gamma = torch.ones(H)
    elif decay == "fixed":
        gamma = torch.tensor([1 - 2.0 ** (-5 - h) for h in range(H)])
    else:
        gamma = torch.sigmoid(attention.decay)
    q, k, v = (heads(layer(x)) for layer in (attention.q, attention.k, attention.v))
    q, k = torch.where(q > 0, q + 1, q.exp()), torch.where(k > 0, k + 1, k.exp())
    rotated = (turned(q), turned(k)) if encoding == "rope" else (q, k)
    matrix, norm = torch.zeros(B, H, DH, DH), torch.zeros(B, H, DH)
    outputs = []
    for t in range(T):
        matrix = gamma[:, None, None] * matrix + rotated[1][:, :, t, :, None] * v[:, :, t, None]
        norm = gamma[:, None] * norm + k[:, :, t]
        top = torch.einsum("bhd,bhde->bhe", rotated[0][:, :, t], matrix)
        outputs.append(top / (q[:, :, t] * norm).sum(-1, keepdim=True))
    expected = attention.out(merged(torch.stack(outputs, 2)))
    torch.testing.assert_close(attention(x, seq, None)[0], expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_mla_with_keys_and_values_spelled_out() -> None:
    model = model_of("attention={name='mla', latent=5, d_rope=4, latent_norm='rmsnorm'}")
    attention, (x, seq) = model.blocks[0].attention, harness()
    latent = attention.down(x)
    latent = latent / (latent.square().mean(-1, keepdim=True) + 1e-6).sqrt() * attention.norm.gain
    k_rope = turned(attention.k_rope(x)[:, None]).expand(B, H, T, 4)
    k = torch.cat([heads(attention.k_up(latent)), k_rope], -1)
    q = torch.cat([heads(attention.q(x)), turned(heads(attention.q_rope(x)))], -1)
    y = weigh(q, k, heads(attention.v_up(latent)))
    torch.testing.assert_close(attention(x, seq, None)[0], attention.out(merged(y)), **CLOSE)


def floats_per_row(state: dict[str, Any]) -> int:
    total = 0
    for value in state.values():
        if isinstance(value, dict):
            total += floats_per_row(value)
        elif value.is_floating_point():
            total += value[0].numel()
    return total


@torch.no_grad()
@pytest.mark.parametrize(
    ("attention", "expected"),
    [
        ("{name='softmax'}", T * 2 * H * DH),
        ("{name='softmax', n_kv_heads=1}", T * 2 * DH),
        ("{name='softmax', window=4}", 4 * 2 * H * DH),
        ("{name='mla', latent=5, d_rope=4}", T * (5 + 4)),
        ("{name='linear'}", H * DH * (DH + 1)),
    ],
)
def test_states_are_as_large_as_theory_says(attention: str, expected: int) -> None:
    model = model_of(f"attention={attention}", "positional_encoding=none")
    attention_module, (x, seq) = model.blocks[0].attention, harness()
    state = attention_module.init_state(B, T, x.device, x.dtype)
    _, state = attention_module(x, seq, state)
    assert floats_per_row(state) == expected
