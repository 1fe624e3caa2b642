"""The gated delta rule against its recurrence in fp64, and against transformers' Qwen3-Next."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from test_attention_oracles import DEFAULT, DH, B, D, H, model_of
from torch import Tensor

from tp_core.config.plan import load_plan
from tp_core.errors import ConfigError
from tp_core.interfaces import SequenceInfo
from tp_plugins.attentions.gated_delta import chunked, step

LONG = 150
NEAR = {"atol": 2e-5, "rtol": 1e-4}


def rule(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, log_alpha: Tensor) -> tuple[Tensor, Tensor]:
    """S_t = α_t·S_{t−1}·(I − β_t·k_t·k_tᵀ) + β_t·v_t·k_tᵀ and o_t = S_t·q_t, as in the paper."""
    state = q.new_zeros(*q.shape[:2], q.shape[-1], q.shape[-1])
    outputs = []
    for t in range(q.shape[2]):
        key, value = k[:, :, t, :, None], v[:, :, t, :, None]
        rate, kept = beta[:, :, t, None, None], log_alpha[:, :, t, None, None].exp()
        erase = torch.eye(q.shape[-1], dtype=q.dtype) - rate * key @ key.mT
        state = kept * state @ erase + rate * value @ key.mT
        outputs.append((state @ q[:, :, t, :, None])[..., 0])
    return torch.stack(outputs, 2), state


def inputs(length: int, dtype: torch.dtype = torch.float64, d: int = DH) -> list[Tensor]:
    torch.manual_seed(length)
    q, k, v = (torch.randn(B, H, length, d, dtype=dtype) for _ in range(3))
    beta, forget = (torch.randn(B, H, length, dtype=dtype) for _ in range(2))
    k, q = k / k.norm(dim=-1, keepdim=True), q / q.norm(dim=-1, keepdim=True)
    return [q, k, v, beta.sigmoid(), -0.5 * forget.exp()]


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("length", [1, 5, 63, 64, 65, 130])
def test_chunks_of_any_size_are_the_recurrence(length: int, size: int) -> None:
    given = inputs(length)
    expected = rule(*given)[0]
    start = torch.zeros(B, H, DH, DH, dtype=torch.float64)
    o, none = chunked(*given, size=size)
    assert none is None
    torch.testing.assert_close(o, expected, atol=1e-12, rtol=0)
    if length > 1:
        half = length // 2
        first = [t[:, :, :half] for t in given]
        # A state that isn't empty is of the same document where no documents are told.
        _, matrix = chunked(*first, matrix=start, size=size)
        torch.testing.assert_close(matrix.mT, rule(*first)[1], atol=1e-12, rtol=0)


def layer(options: str = "", encoding: str = "none") -> Any:
    sets = [f"attention={{name='gated_delta'{options}}}", f"positional_encoding={encoding}"]
    return model_of("max_seq_len=160", *sets).blocks[0].attention


def written_out(attention: Any, x: Tensor) -> Tensor:
    """The layer on one document [T, D], token by token in fp64."""
    exact = {name: p.detach().double() for name, p in attention.named_parameters()}
    x = x.double()
    a, shift = exact["log_a"].exp(), exact["alpha_shift"]
    projected = torch.cat([x @ exact[f"{name}.weight"].T for name in "qkv"], -1)
    matrix = torch.zeros(H, DH, DH, dtype=torch.float64)
    outputs = []
    for t in range(len(x)):
        row = projected[t]
        if "conv" in exact:
            taps = exact["conv"]  # the last one is of the token itself
            row = sum(
                taps[len(taps) - 1 - lag] * projected[t - lag]
                for lag in range(len(taps))
                if t - lag >= 0
            )
        row = row * torch.sigmoid(row)
        q, k, v = row.view(3, H, DH)
        q, k = (u / (u.square().sum(-1, keepdim=True) + 1e-6).sqrt() for u in (q, k))
        beta = torch.sigmoid(exact["beta.weight"] @ x[t])
        alpha = torch.exp(-a * torch.log1p(torch.exp(exact["alpha.weight"] @ x[t] + shift)))
        heads = []
        for h in range(H):
            matrix[h] = alpha[h] * matrix[h]
            wrong = v[h] - matrix[h] @ k[h]
            matrix[h] = matrix[h] + beta[h] * torch.outer(wrong, k[h])
            o = matrix[h] @ q[h] / math.sqrt(DH)
            o = o / (o.square().mean() + 1e-5).sqrt() * exact["norm.weight"]
            gate = (exact["gate.weight"] @ x[t]).view(H, DH)[h]
            heads.append(o * gate * torch.sigmoid(gate))
        outputs.append(exact["out.weight"] @ torch.cat(heads))
    return torch.stack(outputs)


def packed(lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Positions and documents [1, T] of documents one after the other."""
    positions = torch.cat([torch.arange(n) for n in lengths])
    documents = torch.cat([torch.full((n,), i) for i, n in enumerate(lengths)])
    return positions[None], documents[None]


@torch.no_grad()
@pytest.mark.parametrize("options", ["", ", conv_width=1", ", conv_width=2", ", conv_width=7"])
def test_the_layer_is_what_the_paper_writes(options: str) -> None:
    attention = layer(options)
    torch.manual_seed(2)
    x = torch.randn(1, LONG, D)
    expected = written_out(attention, x[0]).float()
    for length in (1, 3, 64, 65, LONG):
        seq = SequenceInfo.of_rows(torch.tensor([length]), length)
        y = attention(x[:, :length], seq, None)[0][0]
        torch.testing.assert_close(y, expected[:length], **NEAR)


@torch.no_grad()
@pytest.mark.parametrize("options", ["", ", conv_width=1"])
@pytest.mark.parametrize(
    "lengths", [[1, 63, 1, 85], [64, 64, 22], [2, 1, 1, 70, 76], [10] * 15, [149, 1]]
)
@pytest.mark.parametrize("pieces", [None, [150], [1, 2, 97, 50], [64, 64, 22], [1] * 150])
def test_documents_start_anew_wherever_they_lie(
    pieces: list[int] | None, lengths: list[int], options: str
) -> None:
    attention = layer(options)
    torch.manual_seed(4)
    x = torch.randn(1, LONG, D)
    positions, documents = packed(lengths)
    expected = torch.cat([written_out(attention, part) for part in x[0].split(lengths)]).float()
    if pieces is None:
        y = attention(x, SequenceInfo.of_positions(positions, documents), None)[0]
    else:
        state, parts, start = attention.init_state(1, LONG, x.device, x.dtype), [], 0
        for size in pieces:
            here = slice(start, start + size)
            seq = SequenceInfo.of_positions(positions[:, here], documents[:, here])
            out, state = attention(x[:, here], seq, state)
            parts.append(out)
            start += size
        y = torch.cat(parts, 1)
    torch.testing.assert_close(y[0], expected, **NEAR)


@torch.no_grad()
def test_pads_between_tokens_are_skipped_by_convolution_and_state() -> None:
    attention = layer()
    torch.manual_seed(6)
    x = torch.randn(2, LONG, D)
    valid = torch.rand(2, LONG) < 0.6
    positions = torch.where(valid, valid.cumsum(1) - 1, -1)
    state, parts = attention.init_state(2, LONG, x.device, x.dtype), []
    for here in (slice(0, 90), slice(90, 91), slice(91, 93), slice(93, LONG)):
        out, state = attention(x[:, here], SequenceInfo.of_positions(positions[:, here]), state)
        parts.append(out)
    y = torch.cat(parts, 1)
    for row in range(2):
        expected = written_out(attention, x[row, valid[row]]).float()
        torch.testing.assert_close(y[row, valid[row]], expected, **NEAR)


def test_later_tokens_of_other_chunks_have_exactly_no_gradient() -> None:
    attention = layer().train()
    torch.manual_seed(8)
    x = torch.randn(1, LONG, D, requires_grad=True)
    positions, documents = packed([40, 90, 20])
    for seq in (
        SequenceInfo.of_rows(torch.tensor([LONG]), LONG),
        SequenceInfo.of_positions(positions, documents),
    ):
        for cut in (1, 39, 63, 64, 100):
            y = attention(x, seq, None)[0]
            gradient = torch.autograd.grad(y[:, :cut].square().sum(), x)[0]
            assert gradient[:, cut:].abs().max() == 0
            assert gradient[:, :cut].any(-1).all()


def test_forgetting_at_once_leaves_gradients_finite() -> None:
    attention = layer().train()
    with torch.no_grad():
        attention.alpha_shift.fill_(1e4)
    torch.manual_seed(9)
    x = torch.randn(1, LONG, D, requires_grad=True)
    y = attention(x, SequenceInfo.of_rows(torch.tensor([LONG]), LONG), None)[0]
    y.square().sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in attention.parameters())
    assert bool(x.grad.isfinite().all())
    torch.testing.assert_close(y[0], written_out(attention, x[0].detach()).float(), **NEAR)


def test_one_token_that_forgets_all_blurs_no_later_decay() -> None:
    given = inputs(60)
    given[4][:, :, 3] = -1e6
    given[4][:, :, 4:] *= 0.01
    expected = rule(*given)[0]
    o, _ = chunked(*(t.float() for t in given))
    torch.testing.assert_close(o.double(), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("length", [1, 20, 150])
def test_the_rule_is_transformers_rule(length: int) -> None:
    pytest.importorskip("transformers")
    from transformers.models.qwen3_next import modeling_qwen3_next as reference

    given = inputs(length, torch.float32)
    q, k, v, beta, log_alpha = given
    start = 0.3 * torch.randn(B, H, DH, DH)
    others = [t.transpose(1, 2) for t in (q, k, v, log_alpha, beta)]
    o, matrix = chunked(q / math.sqrt(DH), k, v, beta, log_alpha, matrix=start)
    for theirs in (
        reference.torch_recurrent_gated_delta_rule,
        reference.torch_chunk_gated_delta_rule,
    ):
        expected, last = theirs(*others, initial_state=start, output_final_state=True)
        torch.testing.assert_close(o.transpose(1, 2), expected, atol=2e-5, rtol=0)
        torch.testing.assert_close(matrix, last, atol=2e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("width", [2, 4])
def test_the_layer_is_qwen3_nexts(width: int) -> None:
    pytest.importorskip("transformers")
    from transformers import Qwen3NextConfig
    from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextGatedDeltaNet

    config = Qwen3NextConfig(
        hidden_size=D,
        linear_num_key_heads=H,
        linear_num_value_heads=H,
        linear_key_head_dim=DH,
        linear_value_head_dim=DH,
        linear_conv_kernel_dim=width,
        rms_norm_eps=1e-5,
        num_hidden_layers=2,
    )
    theirs = Qwen3NextGatedDeltaNet(config, layer_idx=0).eval()
    attention = layer(f", conv_width={width}")
    # Their one matrix holds, head by head, q, k, v and the gate; another one beta and alpha.
    mine = [getattr(attention, name).weight.view(H, DH, D) for name in ("q", "k", "v", "gate")]
    theirs.in_proj_qkvz.weight.copy_(torch.cat(mine, 1).flatten(0, 1))
    gates = [attention.beta.weight, attention.alpha.weight]
    theirs.in_proj_ba.weight.copy_(torch.stack(gates, 1).flatten(0, 1))
    theirs.conv1d.weight.copy_(attention.conv.T[:, None])
    theirs.A_log.copy_(attention.log_a)
    theirs.dt_bias.copy_(attention.alpha_shift)
    theirs.norm.weight.copy_(attention.norm.weight)
    theirs.out_proj.weight.copy_(attention.out.weight)
    torch.manual_seed(5)
    x = torch.randn(B, 100, D)
    y = attention(x, SequenceInfo.of_rows(torch.full((B,), 100), 100), None)[0]
    torch.testing.assert_close(y, theirs(x), **NEAR)


def test_a_step_and_a_chunk_of_one_token_agree() -> None:
    given = inputs(1)
    rows = _rows_of_one_document()
    start = torch.randn(B, H, DH, DH, dtype=torch.float64)
    by_step, by_chunk = step(*given, rows, start), chunked(*given, rows, start)
    torch.testing.assert_close(by_step, by_chunk, atol=1e-13, rtol=0)


def _rows_of_one_document() -> Any:
    from tp_plugins.attentions.gated_delta import Rows

    ones = torch.zeros(B, 1, dtype=torch.int64)
    state = {"document": ones[:, 0]}
    return Rows.of(ones, ones == 0, state)


def test_start_values_are_those_of_mamba_2() -> None:
    from tp_core.model.decoder import Decoder

    sets = ["model.attention=gated_delta", "model.positional_encoding=none"]
    model = Decoder(load_plan(DEFAULT, [*sets, "model.d_model=256", "model.n_heads=64"]), 32)
    for block in model.blocks:
        a = block.attention.log_a.exp()
        pace = torch.nn.functional.softplus(block.attention.alpha_shift)
        assert 1 <= a.min() < 3
        assert 14 < a.max() <= 16
        assert 0.0009 < pace.min() < 0.003
        assert 0.05 < pace.max() < 0.11


def test_filters_are_neither_decayed_nor_taken_for_a_matrix() -> None:
    model = model_of("attention=gated_delta", "positional_encoding=none")
    infos = {info.name: info for info in model.parameter_infos(1.0, 0.1)}
    conv = infos["blocks.0.attention.conv"]
    assert (conv.role, conv.weight_decay) == ("scalar", 0.0)
    assert infos["blocks.0.attention.alpha.weight"].role == "hidden"


def test_a_rotation_is_refused_with_what_to_do() -> None:
    sets = [
        'model.pattern=["rec", "full"]',
        "model.positional_encoding=rope",
        "model.layers.rec.attention=gated_delta",
    ]
    with pytest.raises(ConfigError) as refusal:
        load_plan(DEFAULT, sets)
    (problem,) = refusal.value.problems
    assert problem.message.startswith(
        "layers 0,2 (pattern \"rec\"): positional encoding 'rope' needs site 'rotate'; "
        "attention 'gated_delta' offers embed. In [model.layers.rec] set "
        'positional_encoding = "none"; or attention to one of: '
    )
    load_plan(DEFAULT, [*sets, "model.layers.rec.positional_encoding=none"])
