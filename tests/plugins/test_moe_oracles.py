"""Experts against transformers' blocks and a token by token second implementation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_models import DEFAULT, D, T, agree, harness, model_of
from torch import Tensor

from tp_core.config.plan import load_plan
from tp_core.errors import ConfigError
from tp_core.interfaces import SequenceInfo


def moe_of(*options: str) -> Any:
    return model_of(f"mlp={{{', '.join(['name=' + repr('moe'), *options])}}}").blocks[0].mlp


def token_losses(moe: Any, x: Tensor, seq: SequenceInfo) -> Tensor:
    """Every token of x [B, T, D] on its own, experts one after the other."""
    options, out = moe.options, torch.zeros_like(x)
    for row in range(x.shape[0]):
        for t in range(x.shape[1]):
            token = x[row, t]
            logits = [float(weights @ token) for weights in moe.router.weight]
            every = torch.tensor(logits)
            scores = (
                every.softmax(-1) if options.scores == "softmax" else every.sigmoid()
            ).tolist()
            ranked = sorted(range(len(scores)), key=lambda e: scores[e] + float(moe.bias[e]))
            chosen = ranked[::-1][: options.top_k]
            total = sum(scores[e] for e in chosen) if options.norm_topk else 1
            for e in chosen:
                out[row, t] += scores[e] / total * moe.experts[e](token[None, None], seq)[0, 0]
            gate = 1.0
            if moe.shared_gate is not None:
                gate = float(torch.sigmoid(moe.shared_gate.weight[0] @ token))
            for expert in moe.shared:
                out[row, t] += gate * expert(token[None, None], seq)[0, 0]
    return out


@torch.no_grad()
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["n_experts=5", "top_k=3"],
        ["expert='relu2'"],
        ["expert={name='geglu', bias=true}"],
        ["norm_topk=false"],
        ["top_k=1", "norm_topk=false"],
        ["scores='sigmoid'"],
        ["scores='sigmoid'", "norm_topk=false"],
        ["n_shared=2"],
        ["n_shared=2", "shared_gate=true"],
    ],
    ids=",".join,
)
def test_moe_sends_each_token_to_its_experts(options: list[str]) -> None:
    moe, (x, seq) = moe_of(*options), harness()
    agree(moe(x, seq), token_losses(moe, x, seq))
    moe.bias[2] = 10.0  # chosen always, weighed by its score all the same
    agree(moe(x, seq), token_losses(moe, x, seq))


def fused(moe: Any, theirs: Any) -> Any:
    """Our routed experts in a block that keeps them in two tensors."""
    theirs.gate.weight.copy_(moe.router.weight)
    for e, expert in enumerate(moe.experts):
        theirs.experts.gate_up_proj[e] = torch.cat([expert.gate.weight, expert.up.weight])
        theirs.experts.down_proj[e] = expert.down.weight
    return theirs.eval()


def join(shared: Any, theirs: Any) -> None:
    """Our shared experts in one MLP as wide as all of them."""
    for name, axis in (("gate", 0), ("up", 0), ("down", 1)):
        both = torch.cat([getattr(expert, name).weight for expert in shared], axis)
        getattr(theirs, f"{name}_proj").weight.copy_(both)


SIZES = {"hidden_size": D, "num_attention_heads": 3, "num_experts_per_tok": 2}


@torch.no_grad()
def test_the_defaults_are_mixtrals() -> None:
    mixtral = pytest.importorskip("transformers.models.mixtral.modeling_mixtral")
    moe, (x, seq) = moe_of("n_experts=5"), harness()
    config = mixtral.MixtralConfig(
        **SIZES, num_key_value_heads=3, intermediate_size=32, num_local_experts=5
    )
    agree(moe(x, seq), fused(moe, mixtral.MixtralSparseMoeBlock(config))(x))


@torch.no_grad()
@pytest.mark.parametrize("norm_topk", [True, False])
def test_a_gated_shared_expert_is_qwen2s(norm_topk: bool) -> None:
    qwen = pytest.importorskip("transformers.models.qwen2_moe.modeling_qwen2_moe")
    options = ["n_experts=5", "n_shared=1", "shared_gate=true"]
    moe, (x, seq) = moe_of(*options, f"norm_topk={str(norm_topk).lower()}"), harness()
    config = qwen.Qwen2MoeConfig(
        **SIZES, moe_intermediate_size=32, shared_expert_intermediate_size=32
    )
    config.num_experts, config.norm_topk_prob = 5, norm_topk
    theirs = fused(moe, qwen.Qwen2MoeSparseMoeBlock(config))
    join(moe.shared, theirs.shared_expert)
    theirs.shared_expert_gate.weight.copy_(moe.shared_gate.weight)
    agree(moe(x, seq), theirs(x))


@torch.no_grad()
def test_shared_experts_and_bare_scores_are_deepseek_v2s() -> None:
    deepseek = pytest.importorskip("transformers.models.deepseek_v2.modeling_deepseek_v2")
    moe, (x, seq) = moe_of("n_experts=6", "top_k=3", "n_shared=2", "norm_topk=false"), harness()
    config = deepseek.DeepseekV2Config(
        **{**SIZES, "num_experts_per_tok": 3}, n_routed_experts=6, n_shared_experts=2
    )
    config.moe_intermediate_size, config.routed_scaling_factor = 32, 1.0
    config.topk_method, config.mlp_bias = "greedy", False
    theirs = fused(moe, deepseek.DeepseekV2Moe(config))
    join(moe.shared, theirs.shared_experts)
    agree(moe(x, seq), theirs(x))


@torch.no_grad()
@pytest.mark.parametrize("norm_topk", [True, False])
def test_a_sigmoid_router_with_a_bias_is_deepseek_v3s(norm_topk: bool) -> None:
    deepseek = pytest.importorskip("transformers.models.deepseek_v3.modeling_deepseek_v3")
    options = ["n_experts=6", "top_k=2", "n_shared=1", "scores='sigmoid'"]
    moe, (x, seq) = moe_of(*options, f"norm_topk={str(norm_topk).lower()}"), harness()
    moe.bias.copy_(torch.tensor([0.3, -0.2, 0.1, 0.0, -0.5, 0.4]))
    config = deepseek.DeepseekV3Config(
        **SIZES, n_routed_experts=6, n_shared_experts=1, moe_intermediate_size=32
    )
    config.n_group = config.topk_group = 1
    config.routed_scaling_factor, config.norm_topk_prob = 1.0, norm_topk
    theirs = fused(moe, deepseek.DeepseekV3MoE(config))
    join(moe.shared, theirs.shared_experts)
    theirs.gate.e_score_correction_bias.copy_(moe.bias)
    agree(moe(x, seq), theirs(x))


@pytest.mark.parametrize(("top_k", "norm_topk"), [(1, "false"), (2, "true"), (3, "false")])
def test_the_balance_loss_is_switchs_and_leaves_pads_out(top_k: int, norm_topk: str) -> None:
    mixtral = pytest.importorskip("transformers.models.mixtral.modeling_mixtral")
    moe = moe_of(f"top_k={top_k}", f"norm_topk={norm_topk}", "loss_weight=0.5").train()
    x, _ = harness()
    seq = SequenceInfo.of_rows(torch.tensor([T, 6]), T)
    moe(x, seq)
    theirs = mixtral.load_balancing_loss_func(
        (moe.router(x).flatten(0, 1),), 4, top_k, seq.valid.long()
    )
    # Theirs counts a token once for each choice, and is a mean over tokens.
    agree(seq.losses["moe_balance"], 0.5 * theirs / top_k * (T + 6))
    (gradient,) = torch.autograd.grad(seq.losses["moe_balance"], moe.router.weight)
    assert gradient.abs().sum() > 0


def test_the_balance_loss_of_sigmoids_is_over_their_shares() -> None:
    moe = moe_of("scores='sigmoid'", "loss_weight=1.0").train()
    x, seq = harness()
    moe(x, seq)
    scores = moe.router(x).flatten(0, 1).sigmoid()
    chosen = F.one_hot(scores.topk(2).indices, 4).float().sum(1).mean(0) / 2
    shares = (scores / scores.sum(-1, keepdim=True)).mean(0)
    agree(seq.losses["moe_balance"], 4 * (chosen * shares).sum() * len(scores))


def test_the_balance_bias_moves_against_the_load_once_per_step() -> None:
    moe = moe_of("n_experts=3", "loss_weight=0.0", "bias_rate=0.01").train()
    x, seq = harness()
    moe(x, seq)
    moe(x, seq)  # two slices of one step
    assert not seq.losses
    load = moe.load.clone()
    assert load.sum() == 2 * 2 * x.shape[0] * x.shape[1]
    moe.after_step()
    assert torch.equal(moe.bias, 0.01 * torch.sign(load.mean() - load))
    assert moe.load.sum() == 0
    moe.eval()
    moe(x, seq)
    assert moe.load.sum() == 0


def test_the_balance_bias_evens_the_load() -> None:
    moe = moe_of("n_experts=3", "top_k=1", "norm_topk=false", "bias_rate=0.02").train()
    torch.manual_seed(1)
    x = torch.randn(4, 200, D) + 0.3  # tokens have something in common, which some expert likes

    def spread() -> float:
        moe(x, SequenceInfo.of_rows(torch.full((4,), 200), 200))
        load = moe.load / moe.load.sum()
        moe.after_step()
        return float(load.max() - load.min())

    before = spread()
    for _ in range(60):
        after = spread()
    assert before > 0.2
    assert after < 0.1 * before + 0.02


def test_an_expert_is_told_of_its_tokens_alone() -> None:
    """One that adds a loss of its own does so for the tokens it got, pads apart."""
    inner = "{name='moe', n_experts=2, top_k=1, norm_topk=false, loss_weight=1.0}"
    moe = moe_of("n_experts=2", "top_k=1", "norm_topk=false", "loss_weight=0.0", f"expert={inner}")
    x, _ = harness()
    seq = SequenceInfo.of_rows(torch.tensor([T, 6]), T)
    moe.train()(x, seq)
    tokens = torch.cat([x[0], x[1, :6]])
    first = moe.router(tokens).argmax(-1)
    expected = torch.tensor(0.0)
    for index, expert in enumerate(moe.experts):
        mine = tokens[first == index]
        scores = expert.router(mine).softmax(-1)
        shares = F.one_hot(scores.argmax(-1), 2).float().mean(0)
        expected = expected + 2 * (shares * scores.mean(0)).sum() * len(mine)
    agree(seq.losses["moe_balance"], expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("n_experts=2, top_k=3", "top_k = 3 is more than n_experts = 2"),
        ("n_experts=2, top_k=2", "leaves nothing to balance: set loss_weight = 0"),
        ("n_experts=2, top_k=2, loss_weight=0.0, bias_rate=0.1", "leaves nothing to balance"),
        ("top_k=1", "set norm_topk = false"),
        ("shared_gate=true", "set n_shared"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(options: str, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_plan(DEFAULT, [f"model.mlp={{name='moe', {options}}}"])
    assert any(words in problem.message for problem in refusal.value.problems)


@torch.no_grad()
def test_all_experts_may_compute_where_nothing_is_balanced() -> None:
    moe, (x, seq) = moe_of("n_experts=2", "top_k=2", "loss_weight=0.0"), harness()
    agree(moe(x, seq), token_losses(moe, x, seq))


def test_experts_start_apart() -> None:
    moe = model_of("mlp={name='moe', n_shared=1}", moved=False).blocks[0].mlp
    starts = [expert.up.weight for expert in (*moe.experts, *moe.shared)]
    assert len(starts) == 5
    assert not any(torch.equal(a, b) for i, a in enumerate(starts) for b in starts[:i])
