"""Whole models: the recipes, made small, against the transformers library with the same weights.

What a config can't say is done to the weights: a norm or a factor on the embedding is applied to
its table, and a softcap on the output, which changes no order of tokens, to the logits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tp_core.config.plan import load_plan
from tp_core.interfaces import SequenceInfo
from tp_core.model.decoder import Decoder

transformers = pytest.importorskip("transformers")

CONFIGS = Path(__file__).parents[2] / "configs"
VOCAB, WIDTH, HEADS, LAYERS, LENGTH = 61, 32, 4, 4, 24
HEAD = WIDTH // HEADS
TOLERANCE = 1e-5  # of the logits' root mean square

SMALL = (
    f"model.d_model={WIDTH}",
    f"model.n_heads={HEADS}",
    f"model.n_layers={LAYERS}",
    f"model.max_seq_len={LENGTH}",
    "model.dropout=0",
)
LLAMA = {
    "vocab_size": VOCAB,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": LENGTH,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
    "attn_implementation": "eager",
}


def ours(recipe: str, *sets: str) -> Decoder:
    return Decoder(load_plan(CONFIGS / recipe, [*SMALL, *sets]), VOCAB).eval()


def theirs(model_class: Any, config: Any) -> Any:
    """Their model with weights that let every part be seen in the logits."""
    model = model_class(config).eval()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=draw)
            start = parameter if "norm" in name or "ln_" in name else torch.zeros(())
            parameter.copy_(start + 0.3 * noise if parameter.ndim < 2 else 0.15 * noise)
    return model


def worst(model: Decoder, weights: Mapping[str, Tensor], other: Any, softcap: float = 0.0) -> float:
    """The largest difference of logits, over their root mean square."""
    assert set(weights) == set(model.state_dict())
    model.load_state_dict(dict(weights))
    tokens = torch.randint(VOCAB, (3, LENGTH), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits, _ = model(tokens, SequenceInfo.of_rows(torch.full((3,), LENGTH), LENGTH))
        expected = other(tokens).logits
    if softcap:
        logits = softcap * torch.tanh(logits / softcap)
    difference = (logits - expected).abs().max() / expected.square().mean().sqrt()
    print(f"{type(other).__name__}: {float(difference):.1e}")
    return float(difference)


def renamed(
    source: Mapping[str, Tensor], names: Mapping[str, str], layer: Mapping[str, str]
) -> dict[str, Tensor]:
    """Their tensors under our names: `layer` is for each of the layers, `{}` being its number."""
    found = {ours: source[theirs] for ours, theirs in names.items()}
    for index in range(LAYERS):
        for mine, other in layer.items():
            found[f"blocks.{index}.{mine}"] = source[other.format(index)]
    return found


def of_llama(attention_norm: str, mlp_norm: str, **more: str) -> dict[str, str]:
    """The names of a layer in Llama and its descendants."""
    at = "model.layers.{}"
    return {
        "attention_norm.gain": f"{at}.{attention_norm}.weight",
        "mlp_norm.gain": f"{at}.{mlp_norm}.weight",
        **{f"attention.{p}.weight": f"{at}.self_attn.{p}_proj.weight" for p in "qkv"},
        "attention.out.weight": f"{at}.self_attn.o_proj.weight",
        **{f"mlp.{p}.weight": f"{at}.mlp.{p}_proj.weight" for p in ("gate", "up", "down")},
        **{mine: f"{at}.{other}" for mine, other in more.items()},
    }


OUTER = {
    "embedding.weight": "model.embed_tokens.weight",
    "norm.gain": "model.norm.weight",
    "head.weight": "lm_head.weight",
}
QK = {f"attention.{p}_norm.gain": f"self_attn.{p}_norm.weight" for p in "qk"}


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_llama(kv_heads: int) -> None:
    model = ours("llama_style.toml", f"model.attention.n_kv_heads={kv_heads}")
    config = transformers.LlamaConfig(
        **LLAMA,
        num_key_value_heads=kv_heads,
        intermediate_size=round(8 / 3 * WIDTH),
        rms_norm_eps=1e-5,
    )
    other = theirs(transformers.LlamaForCausalLM, config)
    layer = of_llama("input_layernorm", "post_attention_layernorm")
    assert worst(model, renamed(other.state_dict(), OUTER, layer), other) < TOLERANCE


def test_nope_is_llama_without_rotation() -> None:
    model = ours("nope.toml")
    config = transformers.LlamaConfig(
        **LLAMA,
        num_key_value_heads=2,
        intermediate_size=round(8 / 3 * WIDTH),
        rms_norm_eps=1e-5,
    )
    other = theirs(transformers.LlamaForCausalLM, config)
    other.model.rotary_emb.inv_freq.zero_()
    layer = of_llama("input_layernorm", "post_attention_layernorm")
    assert worst(model, renamed(other.state_dict(), OUTER, layer), other) < TOLERANCE


def test_qwen3() -> None:
    model = ours("qwen3_style.toml", "model.tie_embeddings=false")
    config = transformers.Qwen3Config(
        **LLAMA,
        num_key_value_heads=2,
        head_dim=HEAD,
        intermediate_size=3 * WIDTH,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_theta": 1e6, "rope_type": "default"},
    )
    other = theirs(transformers.Qwen3ForCausalLM, config)
    layer = of_llama("input_layernorm", "post_attention_layernorm", **QK)
    assert worst(model, renamed(other.state_dict(), OUTER, layer), other) < TOLERANCE


def test_olmo2() -> None:
    model = ours("olmo2_style.toml")
    config = transformers.Olmo2Config(
        **LLAMA,
        intermediate_size=round(8 / 3 * WIDTH),
        rms_norm_eps=1e-6,
        rope_parameters={"rope_theta": 5e5, "rope_type": "default"},
    )
    other = theirs(transformers.Olmo2ForCausalLM, config)
    layer = of_llama("post_attention_layernorm", "post_feedforward_layernorm", **QK)
    assert worst(model, renamed(other.state_dict(), OUTER, layer), other) < TOLERANCE


def test_gemma2() -> None:
    window, cap = 7, 30.0
    model = ours(
        "gemma2_style.toml",
        "model.tie_embeddings=false",
        f"model.layers.local.attention.window={window}",
    )
    config = transformers.Gemma2Config(
        **LLAMA,
        num_key_value_heads=2,
        head_dim=HEAD,
        query_pre_attn_scalar=HEAD,
        intermediate_size=4 * WIDTH,
        sliding_window=window,
        final_logit_softcapping=cap,
    )
    assert config.layer_types[:2] == ["sliding_attention", "full_attention"]
    other = theirs(transformers.Gemma2ForCausalLM, config)
    layer = of_llama(
        "input_layernorm",
        "pre_feedforward_layernorm",
        **{
            "attention_out_norm.gain": "post_attention_layernorm.weight",
            "mlp_out_norm.gain": "post_feedforward_layernorm.weight",
        },
    )
    weights = renamed(other.state_dict(), OUTER, layer)
    weights["embedding.weight"] = weights["embedding.weight"] * math.sqrt(WIDTH)
    assert worst(model, weights, other, softcap=cap) < TOLERANCE


def test_gpt2() -> None:
    model = ours("gpt2_style.toml")
    config = transformers.GPT2Config(
        vocab_size=VOCAB,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        n_positions=LENGTH,
        bos_token_id=None,
        eos_token_id=None,
    )
    other = theirs(transformers.GPT2LMHeadModel, config)
    source = other.state_dict()
    outer = {
        "embedding.weight": "transformer.wte.weight",
        "encodings.learned.table.weight": "transformer.wpe.weight",
        "norm.inner.weight": "transformer.ln_f.weight",
        "norm.inner.bias": "transformer.ln_f.bias",
    }
    names = {"attention_norm.inner": "ln_1", "mlp_norm.inner": "ln_2"}
    names |= {"attention.out": "attn.c_proj", "mlp.up": "mlp.c_fc", "mlp.down": "mlp.c_proj"}
    layer = {
        f"{mine}.{part}": f"transformer.h.{{}}.{other}.{part}"
        for mine, other in names.items()
        for part in ("weight", "bias")
    }
    weights = renamed(source, outer, layer)
    for index in range(LAYERS):
        joined = {p: source[f"transformer.h.{index}.attn.c_attn.{p}"] for p in ("weight", "bias")}
        for part, tensor in joined.items():
            for name, one in zip("qkv", tensor.chunk(3, -1), strict=True):
                weights[f"blocks.{index}.attention.{name}.{part}"] = one
    # Their linear maps are stored transposed.
    for name in [n for n in weights if n.endswith("weight") and ("attention." in n or "mlp." in n)]:
        weights[name] = weights[name].T
    assert worst(model, weights, other) < TOLERANCE


@pytest.mark.parametrize("heads", [4, 2, 8])
def test_bloom(heads: int) -> None:
    model = ours(
        "gpt2_style.toml",
        f"model.n_heads={heads}",
        "model.positional_encoding=alibi",
        "model.tie_embeddings=false",
    )
    config = transformers.BloomConfig(
        vocab_size=VOCAB, hidden_size=WIDTH, n_layer=LAYERS, n_head=heads
    )
    other = theirs(transformers.BloomForCausalLM, config)
    source = other.state_dict()
    outer = {
        "head.weight": "lm_head.weight",
        "norm.inner.weight": "transformer.ln_f.weight",
        "norm.inner.bias": "transformer.ln_f.bias",
    }
    names = {
        "attention_norm.inner": "input_layernorm",
        "mlp_norm.inner": "post_attention_layernorm",
        "attention.out": "self_attention.dense",
        "mlp.up": "mlp.dense_h_to_4h",
        "mlp.down": "mlp.dense_4h_to_h",
    }
    layer = {
        f"{mine}.{part}": f"transformer.h.{{}}.{other}.{part}"
        for mine, other in names.items()
        for part in ("weight", "bias")
    }
    weights = renamed(source, outer, layer)
    for index in range(LAYERS):
        for part in ("weight", "bias"):
            joined = source[f"transformer.h.{index}.self_attention.query_key_value.{part}"]
            by_head = joined.unflatten(0, (heads, 3, WIDTH // heads))
            for at, name in enumerate("qkv"):
                weights[f"blocks.{index}.attention.{name}.{part}"] = by_head[:, at].flatten(0, 1)
    with torch.no_grad():
        embedded = other.transformer.word_embeddings_layernorm(
            source["transformer.word_embeddings.weight"]
        )
    weights["embedding.weight"] = embedded
    assert worst(model, weights, other) < TOLERANCE
