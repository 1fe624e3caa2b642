"""Norms against torch's and transformers', and against their formulas where neither has them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small_models import D, H, agree, harness, model_of
from torch import Tensor, nn


def norm_of(name: str, **options: Any) -> Any:
    """The final norm of a model whose parameters have moved."""
    written = ", ".join([f"name='{name}'", *(f"{k}={toml(v)}" for k, v in options.items())])
    return model_of(f"norm={{{written}}}").norm


def toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def sized() -> Tensor:
    """Activations of sizes from 1e-3 to 1e3, one token all zeros."""
    x, _ = harness()
    x = x * torch.logspace(-3, 3, x.shape[1])[:, None]
    x[1, 3] = 0
    return x


@torch.no_grad()
@pytest.mark.parametrize("eps", [1e-5, 0.1])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("gain", [True, False])
def test_layernorm_is_torchs(gain: bool, bias: bool, eps: float) -> None:
    ours, x = norm_of("layernorm", gain=gain, bias=bias, eps=eps), sized()
    theirs = nn.LayerNorm(D, eps=eps, elementwise_affine=gain, bias=bias)
    parameters = dict(ours.inner.named_parameters())
    assert parameters.keys() == {n for n, used in (("weight", gain), ("bias", bias)) if used}
    shift = 0 if gain else parameters.pop("bias", torch.zeros(D))
    theirs.load_state_dict(parameters)
    agree(ours(x), theirs(x) + shift)


@torch.no_grad()
def test_layernorm_without_parameters_is_olmos() -> None:
    olmo = pytest.importorskip("transformers.models.olmo.modeling_olmo")
    x = sized()
    agree(norm_of("layernorm", gain=False, bias=False)(x), olmo.OlmoLayerNorm(D)(x))


@torch.no_grad()
@pytest.mark.parametrize("eps", [1e-6, 0.1])
def test_rmsnorm_is_torchs(eps: float) -> None:
    ours, x = norm_of("rmsnorm", eps=eps), sized()
    theirs = nn.RMSNorm(D, eps=eps)
    theirs.weight.copy_(ours.gain)
    agree(ours(x), theirs(x))
    bare = norm_of("rmsnorm", eps=eps, gain="none")
    assert not list(bare.parameters())
    agree(bare(x), nn.RMSNorm(D, eps=eps, elementwise_affine=False)(x))


@torch.no_grad()
@pytest.mark.parametrize(
    ("gain", "family", "name"),
    [
        ("plain", "llama", "LlamaRMSNorm"),
        ("plain", "olmo2", "Olmo2RMSNorm"),
        ("unit_offset", "gemma", "GemmaRMSNorm"),
        ("unit_offset", "gemma2", "Gemma2RMSNorm"),
    ],
)
def test_rmsnorm_is_transformers(gain: str, family: str, name: str) -> None:
    modeling = pytest.importorskip(f"transformers.models.{family}.modeling_{family}")
    ours, x = norm_of("rmsnorm", gain=gain), sized()
    theirs = getattr(modeling, name)(D, eps=1e-6)
    theirs.weight.copy_(ours.gain)
    agree(ours(x), theirs(x))


@torch.no_grad()
@pytest.mark.parametrize(("gain", "start"), [("plain", 1.0), ("unit_offset", 0.0)])
def test_every_gain_of_rmsnorm_starts_as_one(gain: str, start: float) -> None:
    norm, x = model_of(f"norm={{name='rmsnorm', gain='{gain}'}}", moved=False).norm, sized()
    assert torch.equal(norm.gain, torch.full((D,), start))
    agree(norm(x), nn.RMSNorm(D, eps=1e-6)(x))


@torch.no_grad()
@pytest.mark.parametrize("alpha", [0.5, 1.5])
def test_dyt_is_its_formula(alpha: float) -> None:
    ours, x = norm_of("dyt", alpha=alpha), sized()
    expected = (torch.tanh(ours.alpha.double() * x.double()) * ours.gain + ours.bias).float()
    agree(ours(x), expected)
    start = model_of(f"norm={{name='dyt', alpha={alpha}}}", moved=False).norm
    agree(start(x), torch.tanh(alpha * x))


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"scale": 1.0}, {"learned": False}, {"eps": 4.0}])
def test_l2_is_its_formula(options: dict[str, Any]) -> None:
    ours, x = norm_of("l2", **options), sized()
    scale = options.get("scale", math.sqrt(D))
    assert len(list(ours.parameters())) == (0 if options.get("learned") is False else 1)
    started = model_of(f"norm={{name='l2', scale={scale}}}", moved=False).norm
    assert float(started.scale) == pytest.approx(scale)
    length = x.double().square().sum(-1, keepdim=True).sqrt().clamp(min=options.get("eps", 1e-5))
    agree(ours(x), (float(ours.scale) * x / length).float())


@torch.no_grad()
def test_l2_of_any_length_is_one_length() -> None:
    unit, x = norm_of("l2", scale=1.0, learned=False), sized()
    lengths = unit(x).norm(dim=-1)
    assert float(lengths[1, 3]) == 0
    lengths[1, 3] = 1
    agree(lengths, torch.ones_like(lengths))


@torch.no_grad()
def test_l2_on_queries_and_keys_weighs_their_cosine() -> None:
    """Henry et al. 2020: logits are g · cos(q, k), g learned, here g_q · g_k / √Dh."""
    model = model_of("attention={name='softmax', qk_norm='l2'}", "positional_encoding=none")
    attention, (x, seq) = model.blocks[0].attention, harness()
    q, k, v = (
        layer(x).unflatten(-1, (H, -1)).transpose(1, 2)
        for layer in (attention.q, attention.k, attention.v)
    )
    g = attention.q_norm.scale * attention.k_norm.scale / math.sqrt(D // H)
    logits = g * torch.cosine_similarity(q[..., :, None, :], k[..., None, :, :], dim=-1)
    mask = torch.ones(logits.shape[-2:], dtype=torch.bool).triu(1)
    weights = logits.masked_fill(mask, -math.inf).softmax(-1)
    expected = attention.out((weights @ v).transpose(1, 2).flatten(-2))
    agree(attention(x, seq, None)[0], expected)
    start = model_of("attention={name='softmax', qk_norm='l2'}", moved=False).blocks[0].attention
    assert float(start.q_norm.scale) == pytest.approx(math.sqrt(D // H))


@pytest.mark.parametrize("name", ["layernorm", "rmsnorm", "dyt", "l2"])
def test_what_a_norm_learns_is_not_decayed(name: str) -> None:
    """Vectors and lone numbers alike, over the width of the model or of a head."""
    model = model_of(f"norm={name}", f"attention={{name='softmax', qk_norm='{name}'}}")
    infos = {info.name: info for info in model.parameter_infos(0.1, 0.5) if "norm" in info.name}
    assert len(infos) >= 2 * 4 + 1
    assert {info.role for info in infos.values()} == {"norm"}
    assert {info.weight_decay for info in infos.values()} == {0.0}


@torch.no_grad()
@pytest.mark.parametrize("name", ["rmsnorm", "dyt", "l2"])
def test_a_norm_of_bf16_rounds_once_at_its_end(name: str) -> None:
    norm, x = norm_of(name), sized().bfloat16()
    assert torch.equal(norm(x), norm(x.float()).bfloat16())
