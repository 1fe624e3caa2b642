"""MLPs against torch's and transformers', and the widths that make them comparable."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_models import D, agree, harness, model_of
from torch import Tensor, nn

from tp_core.model.decoder import Decoder
from tp_plugins.mlps import GatedOptions

PLAIN = {"gelu": F.gelu, "relu": F.relu, "silu": F.silu, "relu2": lambda z: z.clamp(min=0) ** 2}
GATED = {"swiglu": F.silu, "geglu": F.gelu}


def mlp_of(name: str, *options: str, sizes: tuple[str, ...] = ()) -> Any:
    return model_of(*sizes, f"mlp={{{', '.join([f'name={name!r}', *options])}}}").blocks[0].mlp


def weights(layer: nn.Linear) -> dict[str, Tensor]:
    return dict(layer.state_dict())


@torch.no_grad()
@pytest.mark.parametrize("bias", ["true", "false"])
@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_mlp_is_two_linear_maps_around_its_function(name: str, bias: str) -> None:
    ours, (x, seq) = mlp_of(name, f"bias={bias}", "expansion=1.5"), harness()
    assert ours.up.weight.shape == (36, D)
    first = nn.Linear(D, 36, bias=bias == "true")
    second = nn.Linear(36, D, bias=bias == "true")
    first.load_state_dict(weights(ours.up))
    second.load_state_dict(weights(ours.down))
    agree(ours(x, seq), second(PLAIN[name](first(x))))


@torch.no_grad()
@pytest.mark.parametrize("bias", ["true", "false"])
@pytest.mark.parametrize("name", GATED)
def test_a_gated_mlp_is_three_linear_maps_around_its_function(name: str, bias: str) -> None:
    ours, (x, seq) = mlp_of(name, f"bias={bias}", "expansion=1.5"), harness()
    assert ours.up.weight.shape == ours.gate.weight.shape == (36, D)
    gate, up, down = (
        F.linear(x, ours.gate.weight, ours.gate.bias),
        F.linear(x, ours.up.weight, ours.up.bias),
        ours.down,
    )
    hidden = PLAIN["silu" if name == "swiglu" else "gelu"](gate) * up
    agree(ours(x, seq), F.linear(hidden, down.weight, down.bias))


@torch.no_grad()
@pytest.mark.parametrize("act", ["gelu_new", "gelu"])
def test_gelu_is_gpt2s(act: str) -> None:
    gpt2 = pytest.importorskip("transformers.models.gpt2.modeling_gpt2")
    how = "tanh" if act == "gelu_new" else "none"
    ours, (x, seq) = mlp_of("gelu", "bias=true", f"approximate={how!r}"), harness()
    theirs = gpt2.GPT2MLP(4 * D, gpt2.GPT2Config(n_embd=D, activation_function=act)).eval()
    for own, their in ((ours.up, theirs.c_fc), (ours.down, theirs.c_proj)):
        their.weight.copy_(own.weight.T)
        their.bias.copy_(own.bias)
    agree(ours(x, seq), theirs(x))


@torch.no_grad()
def test_relu2_is_nemotrons() -> None:
    nemotron = pytest.importorskip("transformers.models.nemotron.modeling_nemotron")
    ours, (x, seq) = mlp_of("relu2"), harness()
    config = nemotron.NemotronConfig(hidden_size=D, intermediate_size=4 * D, hidden_act="relu2")
    theirs = nemotron.NemotronMLP(config)
    theirs.up_proj.load_state_dict(weights(ours.up))
    theirs.down_proj.load_state_dict(weights(ours.down))
    agree(ours(x, seq), theirs(x))


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
def test_swiglu_is_llamas(bias: bool) -> None:
    llama = pytest.importorskip("transformers.models.llama.modeling_llama")
    ours, (x, seq) = mlp_of("swiglu", f"bias={str(bias).lower()}"), harness()
    config = llama.LlamaConfig(
        hidden_size=D, num_attention_heads=3, intermediate_size=64, mlp_bias=bias
    )
    agree(ours(x, seq), filled(llama.LlamaMLP(config), ours)(x))


@torch.no_grad()
def test_geglu_by_tanh_is_gemmas() -> None:
    gemma = pytest.importorskip("transformers.models.gemma.modeling_gemma")
    ours, (x, seq) = mlp_of("geglu", "approximate='tanh'"), harness()
    config = gemma.GemmaConfig(hidden_size=D, intermediate_size=64)
    assert config.hidden_act == "gelu_pytorch_tanh"
    agree(ours(x, seq), filled(gemma.GemmaMLP(config), ours)(x))


@torch.no_grad()
def test_geglu_is_t5s() -> None:
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    ours, (x, seq) = mlp_of("geglu"), harness()
    config = t5.T5Config(d_model=D, d_ff=64, feed_forward_proj="gated-gelu")
    config.dense_act_fn = "gelu"
    theirs = t5.T5DenseGatedActDense(config).eval()
    for own, their in ((ours.gate, theirs.wi_0), (ours.up, theirs.wi_1), (ours.down, theirs.wo)):
        their.load_state_dict(weights(own))
    agree(ours(x, seq), theirs(x))


def filled(theirs: Any, ours: Any) -> Any:
    for name in ("gate", "up", "down"):
        getattr(theirs, f"{name}_proj").load_state_dict(weights(getattr(ours, name)))
    return theirs


def count(mlp: nn.Module) -> int:
    return sum(parameter.numel() for parameter in mlp.parameters())


def mlp_at(dim: int, written: str) -> nn.Module:
    sizes = (f"d_model={dim}", "n_heads=1", "n_layers=1", "positional_encoding=none")
    model: Decoder = model_of(*sizes, f"mlp={{{written}}}")
    mlp = model.blocks[0].mlp
    assert isinstance(mlp, nn.Module)
    return mlp


@pytest.mark.parametrize("bias", ["true", "false"])
@pytest.mark.parametrize("expansion", [1.0, 8 / 3, 4.0])
@pytest.mark.parametrize("dim", [24, 48, 50, 64, 100, 128, 256])
@pytest.mark.parametrize("name", GATED)
def test_matched_params_are_within_2_percent(
    name: str, dim: int, expansion: float, bias: str
) -> None:
    both = f"expansion={expansion}, bias={bias}"
    plain = count(mlp_at(dim, f"name='gelu', {both}"))
    gated = count(mlp_at(dim, f"name={name!r}, match='params', {both}"))
    wide = count(mlp_at(dim, f"name={name!r}, {both}"))
    assert abs(gated - plain) <= 0.02 * plain
    assert wide > 1.4 * plain


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dim", [1, 2, 3, 4, 7, 12, 16, 31, 48, 1024, 4096])
@pytest.mark.parametrize("expansion", [0.25, 1.0, 3.5, 4.0, None])
def test_no_width_matches_better(dim: int, expansion: float | None, bias: bool) -> None:
    """Where whole numbers don't allow 2 %, it is the nearest they do allow."""

    def off(hidden: int) -> int:
        gated = 3 * dim * hidden + bias * (2 * hidden + dim)
        plain = max(1, round((expansion or 4) * dim))
        return abs(gated - (2 * dim * plain + bias * (plain + dim)))

    found = GatedOptions(match="params", expansion=expansion, bias=bias).hidden(dim)
    assert off(found) == min(off(width) for width in range(max(1, found - 3), found + 4))


def test_left_alone_all_mlps_are_of_one_size() -> None:
    """The plain default of 4 and the gated one of 8/3 are a match already."""
    plain, gated = count(mlp_of("gelu")), count(mlp_of("swiglu"))
    assert abs(gated - plain) <= 0.02 * plain
    assert count(mlp_of("swiglu", "match='params'")) == gated
    assert GatedOptions().hidden(128) == 341
