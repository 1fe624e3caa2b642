"""Differential attention against its maps written out, and against transformers' DiffLlama."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from test_attention_oracles import (
    CLOSE,
    DEFAULT,
    DH,
    SIZES,
    B,
    H,
    T,
    harness,
    model_of,
    turned,
)
from torch import Tensor

from tp_core.config.plan import load_plan
from tp_core.errors import ConfigError

HALF = DH // 2


def factor(attention: Any, layer: int) -> tuple[float, float]:
    """λ and λ_init of a layer, counted from 1."""
    start = 0.8 - 0.6 * math.exp(-0.3 * (layer - 1))
    of = attention.lambdas
    first, second = (math.exp(of[f"q{i}"].dot(of[f"k{i}"]).item()) for i in (1, 2))
    return first - second + start, start


def softmax_map(q: Tensor, k: Tensor, change: Any) -> Tensor:
    """One map [B, T, T] from queries and keys [B, T, d] of a single head."""
    weights = torch.zeros(B, T, T)
    for i in range(T):
        logits = torch.stack([(q[:, i] * k[:, j]).sum(-1) / math.sqrt(HALF) for j in range(i + 1)])
        logits = change(logits.T, i)
        weights[:, i, : i + 1] = logits.exp() / logits.exp().sum(-1, keepdim=True)
    return weights


def expected_of(
    attention: Any, x: Tensor, layer: int, kv_heads: int, change: Any, rotated: bool
) -> Tensor:
    """The layer's output, head by head; `change(logits [B, i + 1], i, head)` edits logits."""
    q = attention.q(x).view(B, T, H, 2, HALF)
    k = attention.k(x).view(B, T, kv_heads, 2, HALF)
    v = attention.v(x).view(B, T, kv_heads, DH)
    scale, start = factor(attention, layer)
    outputs = []
    for head in range(H):
        group = head // (H // kv_heads)
        maps = []
        for which in range(2):
            pair = (q[:, :, head, which], k[:, :, group, which])
            pair = tuple(turned(t) for t in pair) if rotated else pair
            maps.append(softmax_map(*pair, lambda logits, i, h=head: change(logits, i, h)))
        y = (maps[0] - scale * maps[1]) @ v[:, :, group]
        y = y / (y.square().mean(-1, keepdim=True) + 1e-5).sqrt() * attention.norm.weight
        outputs.append((1 - start) * y)
    result: Tensor = attention.out(torch.cat(outputs, -1))
    return result


@torch.no_grad()
@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize(
    "options", ["", ", n_kv_heads=1", ", window=4", ", n_kv_heads=1, window=1"]
)
@pytest.mark.parametrize("encoding", ["none", "rope", "alibi", "fox"])
def test_it_is_the_difference_of_two_maps(encoding: str, options: str, layer: int) -> None:
    written = f"attention={{name='differential'{options}}}"
    model = model_of(written, f"positional_encoding={encoding}")
    attention = model.blocks[layer - 1].attention
    x, seq = harness()
    window = 4 if "window=4" in options else 1 if "window=1" in options else T
    sites = attention.encoding

    def change(logits: Tensor, i: int, head: int) -> Tensor:
        age = i - torch.arange(i + 1)
        if encoding == "alibi":
            logits = logits - [2**-4, 2**-8, 2**-2][head] * age
        if encoding == "fox":
            forget = torch.sigmoid(sites.component.gate(x))[..., head]
            kept = [forget[:, j + 1 : i + 1].prod(-1) for j in range(i + 1)]
            logits = logits + torch.log(torch.stack(kept, -1))
        return logits.masked_fill(age >= window, -math.inf)

    kv_heads = 1 if "n_kv_heads" in options else H
    expected = expected_of(attention, x, layer, kv_heads, change, encoding == "rope")
    torch.testing.assert_close(attention(x, seq, None)[0], expected, **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("pairs_of_kv_heads", [4, 2])
@pytest.mark.parametrize("layer", [0, 1])
def test_it_is_transformers_diffllama(layer: int, pairs_of_kv_heads: int) -> None:
    pytest.importorskip("transformers")
    from transformers import DiffLlamaConfig
    from transformers.models.diffllama.modeling_diffllama import (
        DiffLlamaAttention,
        DiffLlamaRotaryEmbedding,
    )

    n_heads, kv_heads, width = 4, pairs_of_kv_heads, 48
    # There a head is one map: its first half of the heads subtracts its second half.
    config = DiffLlamaConfig(
        hidden_size=width,
        num_attention_heads=2 * n_heads,
        num_key_value_heads=2 * kv_heads,
        head_dim=width // n_heads // 2,
        attn_implementation="eager",
        max_position_embeddings=16,
    )
    reference = DiffLlamaAttention(config, layer_idx=layer).eval()
    options = f"{{name='differential', n_kv_heads={kv_heads}}}"
    model = model_of("d_model=48", "n_heads=4", f"attention={options}")
    attention = model.blocks[layer].attention
    attention.norm.weight.fill_(1.0)  # it has no gain
    d = config.head_dim

    def halves(weight: Tensor) -> Tensor:
        """From [both maps of a head, next head] to [the first map of all heads, the second]."""
        return weight.view(-1, 2, d, width).transpose(0, 1).reshape(-1, width)

    reference.q_proj.weight.copy_(halves(attention.q.weight))
    reference.k_proj.weight.copy_(halves(attention.k.weight))
    reference.v_proj.weight.copy_(halves(attention.v.weight))
    reference.o_proj.weight.copy_(attention.out.weight)
    for name, vector in attention.lambdas.items():
        getattr(reference, f"lambda_{name}").copy_(vector)
    torch.manual_seed(3)
    x, (_, seq) = torch.randn(B, T, width), harness()
    causal = torch.full((T, T), -math.inf).triu(1)[None, None]
    angles = DiffLlamaRotaryEmbedding(config)(x, seq.positions)
    expected = reference(x, angles, causal)[0]
    torch.testing.assert_close(attention(x, seq, None)[0], expected, **CLOSE)


def test_lambda_starts_near_its_layers_value() -> None:
    from tp_core.model.decoder import Decoder

    sets = ["d_model=24", "n_heads=3", "n_layers=5", "attention=differential"]
    model = Decoder(load_plan(DEFAULT, [f"model.{text}" for text in sets]), 32)
    starts = [factor(block.attention, n + 1) for n, block in enumerate(model.blocks)]
    assert starts[0][1] == pytest.approx(0.2)
    assert starts[4][1] == pytest.approx(0.8 - 0.6 * math.exp(-1.2))
    assert all(abs(value - start) < 0.2 for value, start in starts)


def test_parameters_are_those_of_softmax_attention_but_for_vectors() -> None:
    counts = [
        sum(p.numel() for p in model_of(f"attention={name}").blocks[0].attention.parameters())
        for name in ("softmax", "differential")
    ]
    assert counts[1] - counts[0] == 4 * HALF + DH


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["d_model=15", "n_heads=3", "positional_encoding=none"], "head_dim must be even, not 5"),
        (["d_model=18", "n_heads=3"], "head_dim must be even, not 3"),
        (["attention.n_kv_heads=2"], "n_heads = 3 is not divisible by n_kv_heads = 2"),
    ],
)
def test_sizes_that_cannot_be_halved_are_refused(sets: list[str], words: str) -> None:
    written = [*SIZES, "model.attention=differential", *(f"model.{text}" for text in sets)]
    with pytest.raises(ConfigError) as refusal:
        load_plan(DEFAULT, written)
    assert any(words in problem.message for problem in refusal.value.problems)
