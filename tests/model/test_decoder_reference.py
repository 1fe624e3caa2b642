"""The whole decoder against plain PyTorch written here, with the same weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_runs import make_plan
from torch import Tensor

from tp_core.interfaces import SequenceInfo
from tp_core.model.decoder import Decoder

V, B, T, HEADS = 40, 3, 11, 4
Weights = dict[str, Tensor]


def decoder(folder: Path, changes: dict[str, Any]) -> Decoder:
    """A model with every parameter moved away from its start."""
    base = {"model.n_heads": HEADS, "model.max_seq_len": 16}
    model = Decoder(make_plan(folder, base | changes), V).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return torch.randint(V, (B, T), generator=generator), torch.tensor([T, 5, 1])


def vectors(w: Weights, name: str) -> list[Tensor]:
    """A norm's own parameters, gain first, whatever they are called."""
    return [tensor for key, tensor in w.items() if key.startswith(f"{name}.")]


def rms_norm(x: Tensor, w: Weights, name: str) -> Tensor:
    (gain,) = vectors(w, name)
    return x * (x.pow(2).mean(-1, keepdim=True) + 1e-6) ** -0.5 * gain


def layer_norm(x: Tensor, w: Weights, name: str) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], *vectors(w, name), eps=1e-5)


def swiglu(x: Tensor, w: Weights, name: str) -> Tensor:
    gate, up, down = (w[f"{name}.{part}.weight"] for part in ("gate", "up", "down"))
    return (F.silu(x @ gate.T) * (x @ up.T)) @ down.T


def gelu(x: Tensor, w: Weights, name: str) -> Tensor:
    up, down = w[f"{name}.up.weight"], w[f"{name}.down.weight"]
    return F.gelu(x @ up.T) @ down.T


def turned(x: Tensor, position: int, base: float = 10000.0) -> Tensor:
    """One head's vector at one position, as a complex number per pair (i, i + Dh/2)."""
    half = len(x) // 2
    points = torch.complex(x[:half].double(), x[half:].double())
    angles = torch.tensor([position * base ** (-2 * i / len(x)) for i in range(half)])
    points = points * torch.polar(torch.ones(half, dtype=torch.float64), angles.double())
    return torch.cat([points.real, points.imag]).float()


def attention(
    x: Tensor, w: Weights, name: str, kv_heads: int, window: int | None, rope: bool
) -> Tensor:
    """One row x [T, D], one query and head at a time."""
    width = x.shape[1] // HEADS
    q, k, v = (x @ w[f"{name}.{part}.weight"].T for part in ("q", "k", "v"))
    out = torch.zeros(len(x), HEADS * width)
    for t in range(len(x)):
        for h in range(HEADS):
            shared = h // (HEADS // kv_heads)
            first = 0 if window is None else max(0, t - window + 1)
            at = slice(shared * width, (shared + 1) * width)
            query = q[t, h * width : (h + 1) * width]
            keys = k[first : t + 1, at]
            if rope:
                query = turned(query, t)
                keys = torch.stack([turned(key, first + i) for i, key in enumerate(keys)])
            weights = torch.softmax(keys @ query / math.sqrt(width), 0)
            out[t, h * width : (h + 1) * width] = weights @ v[first : t + 1, at]
    return out @ w[f"{name}.out.weight"].T


def reference(
    model: Decoder,
    tokens: Tensor,
    *,
    norm: Any = rms_norm,
    mlp: Any = swiglu,
    kv_heads: int = HEADS,
    window: int | None = None,
    rope: bool = True,
    table: str | None = None,
) -> Tensor:
    """Logits [T, V] of one row."""
    w = dict(model.named_parameters())
    x = w["embedding.weight"][tokens]
    if table is not None:
        x = x + w[table][: len(tokens)]
    for i in range(len(model.blocks)):
        block = f"blocks.{i}"
        y = norm(x, w, f"{block}.attention_norm")
        x = x + attention(y, w, f"{block}.attention", kv_heads, window, rope)
        if mlp is not None:
            x = x + mlp(norm(x, w, f"{block}.mlp_norm"), w, f"{block}.mlp")
    x = norm(x, w, "norm")
    return x @ w.get("head.weight", w["embedding.weight"]).T


CASES = {
    "default": ({}, {}),
    "grouped": ({"model.attention": {"name": "softmax", "n_kv_heads": 2}}, {"kv_heads": 2}),
    "window": ({"model.attention": {"name": "softmax", "window": 3}}, {"window": 3}),
    "multi-query window": (
        {"model.attention": {"name": "softmax", "n_kv_heads": 1, "window": 1}},
        {"kv_heads": 1, "window": 1},
    ),
    "untied": ({"model.tie_embeddings": False}, {}),
    "classic": (
        {
            "model.positional_encoding": "learned",
            "model.norm": {"name": "layernorm", "eps": 1e-5},
            "model.mlp": "gelu",
        },
        {"norm": layer_norm, "mlp": gelu, "rope": False, "table": "encodings.learned.table.weight"},
    ),
    "no mlp": ({"model.mlp_enabled": False}, {"mlp": None}),
}


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_logits(case: str, tmp_path: Path) -> None:
    changes, how = CASES[case]
    model = decoder(tmp_path, changes)
    tokens, lengths = batch()
    logits, state = model(tokens, SequenceInfo.of_rows(lengths, T))
    assert state is None
    for row, length in enumerate(lengths.tolist()):
        expected = reference(model, tokens[row, :length], **how)
        assert torch.allclose(logits[row, :length], expected, atol=1e-5), (row, length)


@torch.no_grad()
def test_a_layer_pattern(tmp_path: Path) -> None:
    """Layers 0 and 2 see two keys, layer 1 all; each norm is as the layer says."""
    changes = {
        "model.n_layers": 3,
        "model.pattern": ["near", "far"],
        "model.layers": {
            "near": {"attention": {"name": "softmax", "window": 2}},
            "far": {"norm": {"name": "layernorm", "eps": 1e-5}},
        },
    }
    model = decoder(tmp_path, changes)
    w = dict(model.named_parameters())
    tokens, lengths = batch()
    logits, _ = model(tokens, SequenceInfo.of_rows(lengths, T))
    x = w["embedding.weight"][tokens[0]]
    for i, (norm, window) in enumerate([(rms_norm, 2), (layer_norm, None), (rms_norm, 2)]):
        y = norm(x, w, f"blocks.{i}.attention_norm")
        x = x + attention(y, w, f"blocks.{i}.attention", HEADS, window, True)
        x = x + swiglu(norm(x, w, f"blocks.{i}.mlp_norm"), w, f"blocks.{i}.mlp")
    assert torch.allclose(logits[0], rms_norm(x, w, "norm") @ w["embedding.weight"].T, atol=1e-5)


@torch.no_grad()
def test_the_loss_is_the_sum_over_targets(tmp_path: Path) -> None:
    model = decoder(tmp_path, {})
    tokens, lengths = batch()
    targets = torch.where(torch.arange(T) < lengths[:, None], (tokens * 7 + 1) % V, -100)
    seq = SequenceInfo.of_rows(lengths, T)
    expected = 0.0
    for row, length in enumerate(lengths.tolist()):
        rows = reference(model, tokens[row, :length]).double().log_softmax(-1)
        expected -= sum(float(rows[t, targets[row, t]]) for t in range(length))
    assert float(model.loss(tokens, targets, seq)) == pytest.approx(expected, rel=1e-5)
