"""Hyper-connections token by token, in the letters of the paper; and how they start."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_models import LAYERS, B, D, T, agree, harness, model_of
from torch import Tensor

from tp_core.interfaces import SequenceInfo

TOKENS = torch.arange(B * T).reshape(B, T) % 32


def rows() -> SequenceInfo:
    return SequenceInfo.of_rows(torch.full((B,), T), T)


def connections(streams: Any, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A_m [n, 1], A_r [n, n] and B [1, n] of a token with streams h [n, D]."""
    n = len(h)
    a_m, a_r, b = streams.alpha[:, :1], streams.alpha[:, 1:], streams.beta[None]
    if streams.dynamic:
        normed = streams.norm(h)
        w_m, w_r, w_beta = streams.map.weight.T.split([1, n, 1], 1)
        a_m = a_m + streams.alpha_scale * torch.tanh(normed @ w_m)
        a_r = a_r + streams.alpha_scale * torch.tanh(normed @ w_r)
        b = b + streams.beta_scale * torch.tanh(normed @ w_beta).T
    return a_m, a_r, b


def by_paper(streams: Any, x: Tensor, sublayer: Any) -> Tensor:
    """x [B, T, n, D] after a sublayer [B, T, D] -> [B, T, D] with these connections."""
    read = torch.zeros(B, T, D)
    for row in range(B):
        for t in range(T):
            read[row, t] = (connections(streams, x[row, t])[0].T @ x[row, t])[0]
    y, out = sublayer(read), torch.zeros_like(x)
    for row in range(B):
        for t in range(T):
            _, a_r, b = connections(streams, x[row, t])
            out[row, t] = b.T @ y[row, t][None] + a_r.T @ x[row, t]
    return out


@torch.no_grad()
@pytest.mark.parametrize("mlp_enabled", [True, False])
@pytest.mark.parametrize("options", ["", ", dynamic=false", ", n=1", ", n=3, dynamic=false"])
def test_against_the_paper(options: str, mlp_enabled: bool) -> None:
    written = f"block={{name='hyper_connections'{options}}}"
    model = model_of(written, f"mlp_enabled={str(mlp_enabled).lower()}")
    block, (_, seq) = model.blocks[1], harness()
    x = torch.randn(B, T, block.n, D)
    y = by_paper(
        block.attention_streams, x, lambda h: block.attention(block.attention_norm(h), seq, None)[0]
    )
    if mlp_enabled:
        y = by_paper(block.mlp_streams, y, lambda h: block.mlp(block.mlp_norm(h), seq))
    agree(block(x, seq, None)[0], y)


@torch.no_grad()
@pytest.mark.parametrize("norm", ["rmsnorm", "layernorm", "dyt"])
@pytest.mark.parametrize("options", ["", ", n=2, dynamic=false", ", n=3"])
def test_it_starts_as_pre_norm(options: str, norm: str) -> None:
    """However many streams, and whatever the final norm; from the same start values."""
    written = f"block={{name='hyper_connections'{options}}}"
    model = model_of(written, f"norm={norm}", moved=False)
    pre = model_of("block=pre", f"norm={norm}", moved=False)
    wide, plain = model.state_dict(), pre.state_dict()
    assert all(torch.equal(wide[name], value) for name, value in plain.items())
    agree(model(TOKENS, rows())[0], pre(TOKENS, rows())[0], 1e-6)


def test_sublayers_begin_with_a_stream_each_in_turn() -> None:
    model = model_of("block={name='hyper_connections', n=3}", "n_layers=4", moved=False)
    streams = [s for block in model.blocks for s in (block.attention_streams, block.mlp_streams)]
    assert [int(s.alpha[:, 0].argmax()) for s in streams] == [0, 1, 2, 0, 1, 2, 0, 1]


def test_only_the_maps_are_decayed() -> None:
    infos = model_of("block=hyper_connections").parameter_infos(0.1, 0.5)
    own = {i.name.partition("streams.")[2]: i for i in infos if "streams." in i.name}
    assert {name for name, info in own.items() if info.weight_decay} == {"map.weight"}
    assert own.keys() == {
        *("alpha", "beta", "map.weight", "norm.gain", "alpha_scale", "beta_scale")
    }
    assert len([i for i in infos if i.name.endswith("streams.alpha")]) == 2 * LAYERS


@torch.no_grad()
def test_under_autocast_the_streams_stay_fp32() -> None:
    block, (x, seq) = model_of("block=hyper_connections").blocks[0], harness()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = block(block.enter(x), seq, None)
    assert y.dtype == torch.float32
