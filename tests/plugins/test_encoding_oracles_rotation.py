"""Rotations against transformers and x-transformers, at every value of every option.

`pytest -rP` shows the largest difference of each comparison.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_encoding_oracles import agree, encoding_of
from torch import Tensor

HEAD_DIM, HEADS, LENGTH = 32, 2, 96
# Angles of other implementations are fp32 products of position and frequency.
CLOSE = 3e-5


def queries_and_keys(length: int = LENGTH) -> tuple[Tensor, Tensor]:
    torch.manual_seed(4)
    return torch.randn(2, HEADS, length, HEAD_DIM), torch.randn(2, HEADS, length, HEAD_DIM)


def rotated(name: str, **options: Any) -> tuple[Tensor, Tensor]:
    """Queries and keys as the encoding turns them."""
    encoding = encoding_of(name, head_dim=HEAD_DIM, n_heads=HEADS, length=LENGTH, **options)
    row = torch.arange(LENGTH)[None]
    q, k = queries_and_keys()
    if name == "rope":
        return encoding.rotate(q, row), encoding.rotate(k, row)
    return encoding.rotate(q, row, "q"), encoding.rotate(k, row, "k")


def by_llama(rope_parameters: dict[str, Any], longest: int = LENGTH) -> tuple[Tensor, Tensor]:
    """Queries and keys as transformers' Llama turns them."""
    llama = pytest.importorskip("transformers.models.llama.modeling_llama")
    config = llama.LlamaConfig(
        hidden_size=HEADS * HEAD_DIM,
        num_attention_heads=HEADS,
        max_position_embeddings=longest,
        rope_parameters={"rope_theta": 10000.0, **rope_parameters},
    )
    row = torch.arange(LENGTH)[None]
    q, k = queries_and_keys()
    cos, sin = llama.LlamaRotaryEmbedding(config)(q, row)
    turned: tuple[Tensor, Tensor] = llama.apply_rotary_pos_emb(q, k, cos, sin)
    return turned


def agree_both(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        agree(one, other, CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("base", [10000.0, 100.0, 500000.0])
def test_rope_is_llamas(base: float) -> None:
    theirs = by_llama({"rope_type": "default", "rope_theta": base})
    agree_both(rotated("rope", base=base), theirs)


@torch.no_grad()
@pytest.mark.parametrize("factor", [2.0, 8.0, 3.7])
def test_linear_scaling_is_transformers(factor: float) -> None:
    theirs = by_llama({"rope_type": "linear", "factor": factor})
    agree_both(rotated("rope", scaling="linear", factor=factor), theirs)


@torch.no_grad()
@pytest.mark.parametrize("factor", [2.0, 8.0, 3.0])
def test_ntk_scaling_is_transformers_once_rows_are_that_long(factor: float) -> None:
    # Theirs scales by how far a row exceeds the longest it was trained on, times the factor.
    theirs = by_llama({"rope_type": "dynamic", "factor": 1.0}, longest=round(LENGTH / factor))
    agree_both(rotated("rope", scaling="ntk", factor=factor), theirs)


YARN = [
    {},
    {"factor": 4.0},
    {"factor": 40.0, "original_max_seq_len": 4096},
    {"original_max_seq_len": 1000, "beta_fast": 4.0},
    {"original_max_seq_len": 1000, "beta_slow": 3.5},
    {"original_max_seq_len": 1000, "beta_fast": 3.0, "beta_slow": 2.9},
    {"attention_factor": 0.7},
    {"base": 500000.0, "factor": 2.0},
]


@torch.no_grad()
@pytest.mark.parametrize("options", YARN)
def test_yarn_is_transformers(options: dict[str, Any]) -> None:
    factor = options.get("factor", 8.0)
    theirs: dict[str, Any] = {
        "rope_type": "yarn",
        "rope_theta": options.get("base", 10000.0),
        "factor": factor,
        "original_max_position_embeddings": options.get("original_max_seq_len", LENGTH / factor),
    }
    for name in ("beta_fast", "beta_slow", "attention_factor"):
        if name in options:
            theirs[name] = options[name]
    agree_both(rotated("rope", scaling="yarn", **options), by_llama(theirs))


@torch.no_grad()
def test_yarn_interpolates_what_never_comes_round() -> None:
    """Where even the fastest pair doesn't turn once, transformers' ramp runs backwards."""
    q, _ = rotated("rope", scaling="yarn", original_max_seq_len=1, attention_factor=1.0)
    slowed, _ = rotated("rope", scaling="linear")
    agree(q[..., 1:16], slowed[..., 1:16], 1e-6)


LLAMA3 = [
    {},
    {"factor": 32.0},
    {"original_max_seq_len": 8192},
    {"original_max_seq_len": 512, "low_freq_factor": 0.25},
    {"original_max_seq_len": 512, "high_freq_factor": 20.0},
    {"original_max_seq_len": 512, "low_freq_factor": 3.0, "base": 500000.0},
]


@torch.no_grad()
@pytest.mark.parametrize("options", LLAMA3)
def test_llama3_scaling_is_transformers(options: dict[str, Any]) -> None:
    factor = options.get("factor", 8.0)
    theirs = {
        "rope_type": "llama3",
        "rope_theta": options.get("base", 10000.0),
        "factor": factor,
        "low_freq_factor": options.get("low_freq_factor", 1.0),
        "high_freq_factor": options.get("high_freq_factor", 4.0),
        "original_max_position_embeddings": options.get("original_max_seq_len", LENGTH / factor),
    }
    agree_both(rotated("rope", scaling="llama3", **options), by_llama(theirs))


@torch.no_grad()
@pytest.mark.parametrize("p", [1.0, 0.75, 0.5, 0.3, 0.0625])
def test_p_rope_is_transformers(p: float) -> None:
    parameters = {"rope_type": "proportional", "partial_rotary_factor": p}
    agree_both(rotated("rope", p=p), by_llama(parameters))
    slowed = by_llama({**parameters, "factor": 4.0})
    agree_both(rotated("rope", p=p, scaling="linear", factor=4.0), slowed)


@torch.no_grad()
@pytest.mark.parametrize("fraction", [1.0, 0.5, 0.25, 0.375])
@pytest.mark.parametrize("scaling", ["none", "yarn"])
def test_a_fraction_is_gpt_neoxs(fraction: float, scaling: str) -> None:
    neox = pytest.importorskip("transformers.models.gpt_neox.modeling_gpt_neox")
    scaled = {"factor": 4.0, "original_max_position_embeddings": 24}
    config = neox.GPTNeoXConfig(
        hidden_size=HEADS * HEAD_DIM,
        num_attention_heads=HEADS,
        max_position_embeddings=LENGTH,
        rope_parameters={
            "rope_theta": 10000.0,
            "partial_rotary_factor": fraction,
            "rope_type": "default" if scaling == "none" else scaling,
            **(scaled if scaling != "none" else {}),
        },
    )
    q, k = queries_and_keys()
    cos, sin = neox.GPTNeoXRotaryEmbedding(config)(q, torch.arange(LENGTH)[None])
    theirs = neox.apply_rotary_pos_emb(q, k, cos, sin)
    options = {"scaling": scaling, "factor": 4.0} if scaling != "none" else {}
    agree_both(rotated("rope", fraction=fraction, **options), theirs)


@torch.no_grad()
@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_the_interleaved_layout_is_gpt_js(fraction: float) -> None:
    gptj = pytest.importorskip("transformers.models.gptj.modeling_gptj")
    width = int(fraction * HEAD_DIM)
    sin, cos = gptj.create_sinusoidal_positions(LENGTH, width)[None].chunk(2, -1)

    def turned(t: Tensor) -> Tensor:
        t = t.transpose(1, 2)
        front = gptj.apply_rotary_pos_emb(t[..., :width], sin, cos)
        return torch.cat([front, t[..., width:]], -1).transpose(1, 2)

    q, k = queries_and_keys()
    agree_both(rotated("rope", layout="interleaved", fraction=fraction), (turned(q), turned(k)))


@torch.no_grad()
@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_the_interleaved_layout_is_x_transformers(factor: float) -> None:
    theirs = pytest.importorskip("x_transformers.x_transformers")
    rotary = theirs.RotaryEmbedding(HEAD_DIM, base_rescale_factor=factor)
    angles, _ = rotary(torch.arange(LENGTH))
    q, k = (theirs.apply_rotary_pos_emb(t, angles) for t in queries_and_keys())
    options = {"scaling": "ntk", "factor": factor} if factor > 1 else {}
    agree_both(rotated("rope", layout="interleaved", **options), (q, k))


@torch.no_grad()
def test_layouts_differ_by_a_permutation_of_features() -> None:
    for options in ({}, {"p": 0.5}, {"scaling": "yarn"}, {"scaling": "llama3"}):
        encodings = [
            encoding_of("rope", head_dim=HEAD_DIM, length=LENGTH, layout=layout, **options)
            for layout in ("half", "interleaved")
        ]
        q, row = queries_and_keys()[0], torch.arange(LENGTH)[None]
        halves, neighbours = encodings[0].rotate(q, row), encodings[1].rotate(woven(q), row)
        agree(neighbours, woven(halves), 1e-6)


def woven(t: Tensor) -> Tensor:
    """Features of the layout by halves in the order of the interleaved one."""
    return torch.stack(t.chunk(2, -1), -1).flatten(-2)


@torch.no_grad()
@pytest.mark.parametrize("scale_base", [512.0, 40.0])
@pytest.mark.parametrize("base", [10000.0, 100.0])
def test_xpos_is_x_transformers(scale_base: float, base: float) -> None:
    theirs = pytest.importorskip("x_transformers.x_transformers")
    rotary = theirs.RotaryEmbedding(HEAD_DIM, use_xpos=True, scale_base=scale_base, base=base)
    angles, scale = rotary(torch.arange(LENGTH))
    q, k = (woven(t) for t in queries_and_keys())
    expected = (
        theirs.apply_rotary_pos_emb(q, angles, scale),
        theirs.apply_rotary_pos_emb(k, angles, 1 / scale),
    )
    ours = rotated("xpos", scale_base=scale_base, base=base)
    for one, other in zip(ours, expected, strict=True):
        agree(woven(one) / other.abs().max(), other / other.abs().max(), CLOSE)


@torch.no_grad()
def test_xpos_depends_on_distance_alone_as_far_as_it_goes() -> None:
    """At the longest row that isn't refused, products are still those of the formula."""
    scale_base, length = 4.0, 128
    encoding = encoding_of("xpos", head_dim=HEAD_DIM, length=length, scale_base=scale_base)
    q, k = (t[:1, :1, :1].double() for t in queries_and_keys())
    row = torch.arange(length)[None]
    at_all = [
        encoding.rotate(t.float().expand(1, 1, length, -1), row, which).double()
        for t, which in ((q, "q"), (k, "k"))
    ]
    assert all(bool(t.isfinite().all()) for t in at_all)
    products = at_all[0][0, 0] @ at_all[1][0, 0].T
    half = HEAD_DIM // 2
    along = torch.arange(half).double() / half
    points = [torch.complex(t[0, 0, 0, :half], t[0, 0, 0, half:]) for t in (q, k)]
    pairs, reach = points[0] * points[1].conj(), float((points[0] * points[1]).abs().sum())
    for m in range(0, length, 9):
        for n in range(m + 1):
            turn = torch.polar(
                ((along + 0.4) / 1.4) ** ((m - n) / scale_base), (m - n) * 1e4**-along
            )
            assert abs(float(products[m, n] - (pairs * turn).real.sum())) < 1e-5 * reach


@torch.no_grad()
def test_positions_need_not_start_at_zero_nor_rise() -> None:
    positions = torch.tensor([[5, 6, 2, -1], [0, 0, 90, 1]])
    t = torch.randn(2, HEADS, 4, HEAD_DIM)
    for name, arguments in (("rope", ()), ("xpos", ("k",))):
        encoding = encoding_of(name, head_dim=HEAD_DIM, n_heads=HEADS, length=LENGTH)
        together = encoding.rotate(t, positions, *arguments)
        for b in range(2):
            for i in range(4):
                place = positions[b, i].clamp(min=0)[None, None]
                alone = encoding.rotate(t[b, :, i][None, :, None], place, *arguments)
                agree(together[b, :, i], alone[0, :, 0], 1e-6)
