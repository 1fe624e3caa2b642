"""Blocks against the layers of torch and transformers, and against their papers' equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_models import LAYERS, D, H, T, agree, harness, model_of
from torch import Tensor, nn

from tp_core.interfaces import SequenceInfo

Sub = Callable[[Tensor], Tensor]


class Lent(nn.Module):
    """A sublayer of ours in a layer of another library, called and answering as that expects."""

    def __init__(self, call: Sub, pair: bool) -> None:
        super().__init__()
        self.call, self.pair = call, pair

    def forward(self, hidden_states: Tensor, **unused: Any) -> Any:
        y = self.call(hidden_states)
        return (y, None) if self.pair else y


def lend(block: Any, layer: Any, attention: str, seq: SequenceInfo) -> Any:
    """The layer with the block's attention and MLP in place of its own."""
    setattr(layer, attention, Lent(lambda x: block.attention(x, seq, None)[0], pair=True))
    layer.mlp = Lent(lambda x: block.mlp(x, seq), pair=False)
    return layer.eval()


def copy_norms(pairs: dict[Any, Any]) -> None:
    """Our norms' parameters, of either kind, into theirs."""
    for ours, theirs in pairs.items():
        for name, parameter in (("gain", "weight"), ("weight", "weight"), ("bias", "bias")):
            own = getattr(getattr(ours, "inner", ours), name, None)
            if own is not None:
                getattr(theirs, parameter).copy_(own)


@torch.no_grad()
@pytest.mark.parametrize("name", ["pre", "post"])
def test_pre_and_post_are_torchs_encoder_layers(name: str) -> None:
    """Everything is theirs here, the attention and the MLP too."""
    model = model_of(
        f"block={name}",
        "norm={name='layernorm', eps=0.01}",
        "mlp={name='relu', expansion=2.0, bias=true}",
        "attention={name='softmax', bias=true}",
        "positional_encoding=none",
    )
    block, (x, seq) = model.blocks[0], harness()
    theirs = nn.TransformerEncoderLayer(
        *(D, H, 2 * D, 0.0), layer_norm_eps=0.01, batch_first=True, norm_first=name == "pre"
    ).eval()
    a = block.attention
    theirs.self_attn.in_proj_weight.copy_(torch.cat([a.q.weight, a.k.weight, a.v.weight]))
    theirs.self_attn.in_proj_bias.copy_(torch.cat([a.q.bias, a.k.bias, a.v.bias]))
    theirs.self_attn.out_proj.load_state_dict(a.out.state_dict())
    theirs.linear1.load_state_dict(block.mlp.up.state_dict())
    theirs.linear2.load_state_dict(block.mlp.down.state_dict())
    copy_norms({block.attention_norm: theirs.norm1, block.mlp_norm: theirs.norm2})
    mask = nn.Transformer.generate_square_subsequent_mask(T)
    agree(block(x, seq, None)[0], theirs(x, src_mask=mask, is_causal=True))


@torch.no_grad()
def test_pre_is_llamas() -> None:
    llama = pytest.importorskip("transformers.models.llama.modeling_llama")
    block, (x, seq) = model_of("block=pre").blocks[0], harness()
    config = llama.LlamaConfig(hidden_size=D, num_attention_heads=H, rms_norm_eps=1e-6)
    theirs = lend(block, llama.LlamaDecoderLayer(config, 0), "self_attn", seq)
    copy_norms(
        {
            block.attention_norm: theirs.input_layernorm,
            block.mlp_norm: theirs.post_attention_layernorm,
        }
    )
    agree(block(x, seq, None)[0], theirs(x))


@torch.no_grad()
def test_sandwich_is_gemma2s() -> None:
    gemma2 = pytest.importorskip("transformers.models.gemma2.modeling_gemma2")
    model = model_of("block=sandwich", "norm={name='rmsnorm', gain='unit_offset'}")
    block, (x, seq) = model.blocks[0], harness()
    config = gemma2.Gemma2Config(hidden_size=D, num_attention_heads=H, rms_norm_eps=1e-6)
    theirs = lend(block, gemma2.Gemma2DecoderLayer(config, 0), "self_attn", seq)
    copy_norms(
        {
            block.attention_norm: theirs.input_layernorm,
            block.attention_out_norm: theirs.post_attention_layernorm,
            block.mlp_norm: theirs.pre_feedforward_layernorm,
            block.mlp_out_norm: theirs.post_feedforward_layernorm,
        }
    )
    agree(block(x, seq, None)[0], theirs(x, position_embeddings=None))


@torch.no_grad()
def test_reordered_is_olmo2s() -> None:
    olmo2 = pytest.importorskip("transformers.models.olmo2.modeling_olmo2")
    block, (x, seq) = model_of("block=reordered").blocks[0], harness()
    config = olmo2.Olmo2Config(hidden_size=D, num_attention_heads=H, rms_norm_eps=1e-6)
    theirs = lend(block, olmo2.Olmo2DecoderLayer(config, 0), "self_attn", seq)
    copy_norms(
        {
            block.attention_norm: theirs.post_attention_layernorm,
            block.mlp_norm: theirs.post_feedforward_layernorm,
        }
    )
    agree(block(x, seq, None)[0], theirs(x))


@torch.no_grad()
def test_parallel_with_one_norm_is_gptjs() -> None:
    gptj = pytest.importorskip("transformers.models.gptj.modeling_gptj")
    block, (x, seq) = model_of("block=parallel", "norm=layernorm").blocks[0], harness()
    config = gptj.GPTJConfig(n_embd=D, n_head=H, rotary_dim=4, layer_norm_epsilon=1e-5)
    config._attn_implementation = "eager"
    theirs = lend(block, gptj.GPTJBlock(config, 0), "attn", seq)
    copy_norms({block.attention_norm: theirs.ln_1})
    agree(block(x, seq, None)[0], theirs(x)[0])
    assert block.mlp_norm is None


@torch.no_grad()
def test_parallel_with_two_norms_is_gpt_neoxs() -> None:
    neox = pytest.importorskip("transformers.models.gpt_neox.modeling_gpt_neox")
    model = model_of("block={name='parallel', shared_norm=false}", "norm=layernorm")
    block, (x, seq) = model.blocks[0], harness()
    config = neox.GPTNeoXConfig(hidden_size=D, num_attention_heads=H, layer_norm_eps=1e-5)
    theirs = lend(block, neox.GPTNeoXLayer(config, 0), "attention", seq)
    copy_norms(
        {
            block.attention_norm: theirs.input_layernorm,
            block.mlp_norm: theirs.post_attention_layernorm,
        }
    )
    agree(block(x, seq, None)[0], theirs(x, attention_mask=None))


@torch.no_grad()
def test_layerscale_is_dinov2s() -> None:
    dino = pytest.importorskip("transformers.models.dinov2.modeling_dinov2")
    block, (x, seq) = model_of("block=layerscale", "norm=layernorm").blocks[0], harness()
    config = dino.Dinov2Config(hidden_size=D, num_attention_heads=H, layer_norm_eps=1e-5)
    theirs = lend(block, dino.Dinov2Layer(config), "attention", seq)
    copy_norms({block.attention_norm: theirs.norm1, block.mlp_norm: theirs.norm2})
    theirs.layer_scale1.lambda1.copy_(block.attention_scale)
    theirs.layer_scale2.lambda1.copy_(block.mlp_scale)
    agree(block(x, seq, None)[0], theirs(x))


# What one sublayer does to the stream x, in the letters of the papers.
def by_paper(name: str, block: Any, part: str, sub: Sub, x: Tensor) -> Tensor:
    norm = getattr(block, f"{part}_norm", None)
    if name == "pre":
        return x + sub(norm(x))
    if name == "post":
        return norm(x + sub(x))
    if name == "sandwich":
        return x + getattr(block, f"{part}_out_norm")(sub(norm(x)))
    if name == "reordered":
        return x + norm(sub(x))
    if name == "deepnorm":
        return norm((2 * LAYERS) ** (1 / 4) * x + sub(x))
    if name == "rezero":
        return x + block.alpha * sub(x)
    assert name == "layerscale"
    return x + sub(norm(x)) @ torch.diag(getattr(block, f"{part}_scale"))


SERIAL = ("pre", "post", "sandwich", "reordered", "deepnorm", "rezero", "layerscale")


@torch.no_grad()
@pytest.mark.parametrize("norm", ["rmsnorm", "dyt"])
@pytest.mark.parametrize("mlp_enabled", [True, False])
@pytest.mark.parametrize("name", SERIAL)
def test_a_block_is_its_papers_equation(name: str, mlp_enabled: bool, norm: str) -> None:
    model = model_of(f"block={name}", f"norm={norm}", f"mlp_enabled={str(mlp_enabled).lower()}")
    block, (x, seq) = model.blocks[1], harness()
    y = by_paper(name, block, "attention", lambda z: block.attention(z, seq, None)[0], x)
    if mlp_enabled:
        y = by_paper(name, block, "mlp", lambda z: block.mlp(z, seq), y)
    else:
        assert not [key for key in block.state_dict() if "mlp" in key]
    agree(block(x, seq, None)[0], y)


@torch.no_grad()
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("mlp_enabled", [True, False])
def test_a_parallel_block_reads_the_stream_once(mlp_enabled: bool, shared: bool) -> None:
    enabled, flag = str(mlp_enabled).lower(), str(shared).lower()
    written = f"block={{name='parallel', shared_norm={flag}}}"
    block, (x, seq) = model_of(written, f"mlp_enabled={enabled}").blocks[1], harness()
    y = x + block.attention(block.attention_norm(x), seq, None)[0]
    if mlp_enabled:
        norm = block.attention_norm if shared else block.mlp_norm
        y = y + block.mlp(norm(x), seq)
    agree(block(x, seq, None)[0], y)


@pytest.mark.parametrize(
    ("written", "norms"),
    [
        *(("pre", 2), ("post", 2), ("sandwich", 4), ("reordered", 2), ("deepnorm", 2)),
        *(("rezero", 0), ("layerscale", 2), ("parallel", 1)),
        ("{name='parallel', shared_norm=false}", 2),
        *(("hyper_connections", 4), ("{name='hyper_connections', dynamic=false}", 2)),
    ],
)
def test_the_norms_of_a_block_are_its_own(written: str, norms: int) -> None:
    blocks = model_of(f"block={written}").blocks
    gains = [m.gain for block in blocks for m in block.modules() if type(m).__name__ == "RmsNorm"]
    assert len({id(gain) for gain in gains}) == len(gains) == norms * LAYERS


def test_rezero_starts_as_the_identity_and_learns_its_factor_first() -> None:
    model = model_of("block=rezero", moved=False)
    (x, seq), block = harness(), model.blocks[0]
    y, _ = block(x, seq, None)
    assert torch.equal(x, y)
    y.square().sum().backward()
    assert block.alpha.shape == ()
    assert float(block.alpha.grad) != 0
    others = [p.grad for name, p in block.named_parameters() if name != "alpha"]
    assert others
    assert not any(bool(gradient.any()) for gradient in others if gradient is not None)


@pytest.mark.parametrize(("written", "start"), [("layerscale", 0.1), ("start=1e-5", 1e-5)])
def test_layerscale_starts_small(written: str, start: float) -> None:
    options = "" if written == "layerscale" else f", {written}"
    block = model_of(f"block={{name='layerscale'{options}}}", moved=False).blocks[0]
    for scale in (block.attention_scale, block.mlp_scale):
        assert torch.equal(scale, torch.full((D,), start))


@pytest.mark.parametrize("n_layers", [2, 8])
def test_deepnorm_starts_at_twice_the_papers_size(n_layers: int) -> None:
    """The paper's β² for two maps in a row is 1/√(8N); ours are 1 and 1/√(2N)."""
    sizes = (f"n_layers={n_layers}", "d_model=96", "n_heads=3", "mlp=gelu")
    blocks = model_of(*sizes, "block=deepnorm", moved=False).blocks
    others = model_of(*sizes, "block=pre", moved=False).blocks
    for block, other in zip(blocks, others, strict=True):
        assert block.alpha**4 == pytest.approx(2 * n_layers)
        for first, last in (
            (block.attention.v, block.attention.out),
            (block.mlp.up, block.mlp.down),
        ):
            gains = [float(m.weight.detach().std()) * m.in_features**0.5 for m in (first, last)]
            assert gains[0] * gains[1] == pytest.approx(2 * (8 * n_layers) ** -0.5, rel=0.05)
        assert torch.equal(block.attention.v.weight, other.attention.v.weight)
        assert torch.equal(block.mlp.down.weight, other.mlp.down.weight)


@pytest.mark.parametrize("name", ["rezero", "layerscale"])
def test_the_factors_of_a_block_are_not_decayed(name: str) -> None:
    infos = model_of(f"block={name}").parameter_infos(0.1, 0.5)
    own = [i for i in infos if i.name.rpartition(".")[2] in ("alpha", "attention_scale")]
    assert len(own) == LAYERS
    assert all((info.role, info.weight_decay) == ("scalar", 0) for info in own)


@torch.no_grad()
@pytest.mark.parametrize("block", ["post", "deepnorm"])
@pytest.mark.parametrize("norm", ["rmsnorm", "layernorm", "l2"])
def test_after_post_norm_the_models_own_norm_starts_without_effect(block: str, norm: str) -> None:
    model = model_of(f"block={block}", f"norm={norm}", moved=False)
    x, seq = harness()
    for one in model.blocks:
        x, _ = one(x, seq, None)
    agree(model.norm(x), x)
