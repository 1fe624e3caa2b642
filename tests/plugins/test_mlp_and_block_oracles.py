"""Experts, blocks, norms and MLPs against plain second implementations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from test_attention_oracles import CLOSE, D, model_of, scene
from torch import Tensor

from tp_core.interfaces import SequenceInfo


def by_token(moe: torch.nn.Module, x: Tensor, top_k: int) -> Tensor:
    out = torch.zeros_like(x)
    for row in range(x.shape[0]):
        for t in range(x.shape[1]):
            token = x[row, t]
            scores = torch.softmax(moe.router.weight @ token, -1)
            chosen = sorted(range(len(scores)), key=lambda e: -float(scores[e] + moe.bias[e]))
            chosen = chosen[:top_k]
            total = sum(float(scores[e]) for e in chosen)
            for e in chosen:
                expert = moe.experts[e]
                hidden = F.silu(expert.up.weight @ token)
                out[row, t] += float(scores[e]) / total * (expert.down.weight @ hidden)
    return out


@torch.no_grad()
def test_moe_sends_each_token_to_its_experts() -> None:
    model = model_of("mlp={name='moe', n_experts=5, top_k=2}")
    moe, (x, seq) = model.blocks[0].mlp, scene()
    torch.testing.assert_close(moe(x, seq), by_token(moe, x, 2), **CLOSE)
    moe.bias[3] = 10.0  # chosen always, weighed by its score all the same
    torch.testing.assert_close(moe(x, seq), by_token(moe, x, 2), **CLOSE)


def test_the_balance_loss_is_switchs_and_leaves_pads_out() -> None:
    model = model_of("mlp={name='moe', n_experts=4, top_k=1, loss_weight=0.5}").train()
    moe, (x, _) = model.blocks[0].mlp, scene()
    lengths = torch.tensor([11, 6])
    seq = SequenceInfo.of_rows(lengths, x.shape[1])
    moe(x, seq)
    tokens = torch.cat([x[0], x[1, :6]])
    scores = moe.router(tokens).softmax(-1)
    shares = F.one_hot(scores.argmax(-1), 4).float().mean(0)
    expected = 0.5 * 4 * (shares * scores.mean(0)).sum() * len(tokens)
    torch.testing.assert_close(seq.losses["moe_balance"], expected, **CLOSE)
    (gradient,) = torch.autograd.grad(seq.losses["moe_balance"], moe.router.weight)
    assert gradient.abs().sum() > 0


def test_the_balance_bias_moves_against_the_load_once_per_step() -> None:
    model = model_of("mlp={name='moe', n_experts=3, top_k=1, loss_weight=0.0, bias_rate=0.01}")
    moe, (x, seq) = model.train().blocks[0].mlp, scene()
    moe(x, seq)
    moe(x, seq)  # two slices of one step
    assert not seq.losses
    load = moe.load.clone()
    assert load.sum() == 2 * x.shape[0] * x.shape[1]
    moe.after_step()
    assert torch.equal(moe.bias, 0.01 * torch.sign(load.mean() - load))
    assert moe.load.sum() == 0
    model.eval()
    moe(x, seq)
    assert moe.load.sum() == 0


@torch.no_grad()
def test_sandwich_normalises_before_and_after() -> None:
    model = model_of("block=sandwich", "mlp=gelu", "positional_encoding=none")
    block, (x, seq) = model.blocks[1], scene()
    y = x + block.attention_out_norm(block.attention(block.attention_norm(x), seq, None)[0])
    y = y + block.mlp_out_norm(block.mlp(block.mlp_norm(y), seq))
    torch.testing.assert_close(block(x, seq, None)[0], y, **CLOSE)
    gains = [norm.gain for norm in block.modules() if type(norm).__name__ == "RmsNorm"]
    assert len(gains) == 4
    assert len({id(gain) for gain in gains}) == 4


@torch.no_grad()
def test_pre_adds_each_sublayer_to_a_bare_stream() -> None:
    model = model_of("mlp=swiglu", "positional_encoding=none")
    block, (x, seq) = model.blocks[0], scene()
    y = x + block.attention(block.attention_norm(x), seq, None)[0]
    normed = block.mlp_norm(y)
    hidden = F.silu(block.mlp.gate(normed)) * block.mlp.up(normed)
    torch.testing.assert_close(block(x, seq, None)[0], y + block.mlp.down(hidden), **CLOSE)


@torch.no_grad()
def test_norms_are_torchs() -> None:
    x, _ = scene()
    layer = model_of("norm={name='layernorm', eps=0.1}").norm
    own = torch.nn.LayerNorm(D, eps=0.1)
    own.weight.copy_(layer.inner.weight)
    own.bias.copy_(layer.inner.bias)
    torch.testing.assert_close(layer(x), own(x), **CLOSE)
    rms = model_of("norm={name='rmsnorm', eps=0.1}").norm
    expected = torch.nn.RMSNorm(D, eps=0.1)
    expected.weight.copy_(rms.gain)
    torch.testing.assert_close(rms(x), expected(x), **CLOSE)
