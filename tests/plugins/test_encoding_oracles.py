"""Encodings that add to the embedding or to the logits, against other implementations.

`pytest -rP` shows the largest difference of each comparison.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tp_core.config.plan import load_plan
from tp_core.errors import ConfigError
from tp_core.interfaces import SequenceInfo
from tp_core.model.decoder import Decoder

DEFAULT = Path(__file__).parents[2] / "configs" / "default.toml"
T = 48


def encoding_of(
    name: str,
    *,
    head_dim: int = 8,
    n_heads: int = 2,
    length: int = T,
    moved: bool = True,
    **options: Any,
) -> Any:
    """An encoding as a model of these sizes has it, its parameters `moved` from their start."""
    written = {"name": name, **options}
    table = ", ".join(f"{key} = {json.dumps(value)}" for key, value in written.items())
    sizes = {"d_model": head_dim * n_heads, "n_heads": n_heads, "max_seq_len": length}
    sets = [f"model.{key}={value}" for key, value in sizes.items()]
    sets += ["model.n_layers=1", f"model.positional_encoding={{ {table} }}"]
    model = Decoder(load_plan(DEFAULT, sets), 32)
    (encoding,) = model.encodings.values()
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in encoding.parameters() if moved else ():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return encoding


def agree(actual: Tensor, expected: Tensor, tolerance: float = 2e-5) -> None:
    assert actual.shape == expected.shape
    difference = float((actual.double() - expected.double()).abs().max())
    print(f"largest difference {difference:.1e}")
    assert difference <= tolerance


def row(length: int = T) -> Tensor:
    return torch.arange(length)[None]


def lower(bias: Tensor) -> Tensor:
    """A bias [1, H, T, T] where a query sees: what it says of later keys means nothing."""
    return bias.expand(1, *bias.shape[1:]).tril()


@torch.no_grad()
@pytest.mark.parametrize("base", [10000.0, 100.0])
def test_sinusoids_of_any_base(base: float) -> None:
    width, x = 6, torch.randn(1, T, 6)
    encoding = encoding_of("sinusoidal", head_dim=3, base=base)
    waves = torch.zeros(T, width)
    for n in range(T):
        for i in range(width):
            angle = n / base ** ((i - i % 2) / width)
            waves[n, i] = math.cos(angle) if i % 2 else math.sin(angle)
    agree(encoding.embed(x, SequenceInfo.of_positions(row())), math.sqrt(width) * x + waves)


@torch.no_grad()
def test_learned_adds_the_row_of_its_position() -> None:
    encoding, x = encoding_of("learned"), torch.randn(2, 3, 16)
    positions = torch.tensor([[0, 1, 2], [-1, 7, 8]])
    added = encoding.embed(x, SequenceInfo.of_positions(positions)) - x
    agree(added[0], encoding.table.weight[:3], 1e-6)
    agree(added[1, 1:], encoding.table.weight[7:9], 1e-6)


def series(n_heads: int) -> list[float]:
    """Slopes as the authors of ALiBi make them: a geometric series, filled up from a finer one."""
    if n_heads & (n_heads - 1) == 0:
        ratio = 2 ** (-8 / n_heads)
        return [ratio ** (h + 1) for h in range(n_heads)]
    below = 1 << (n_heads.bit_length() - 1)
    return series(below) + series(2 * below)[::2][: n_heads - below]


@torch.no_grad()
@pytest.mark.parametrize("n_heads", [1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 16, 20])
def test_alibi_for_any_number_of_heads(n_heads: int) -> None:
    bloom = pytest.importorskip("transformers.models.bloom.modeling_bloom")
    x_transformers = pytest.importorskip("x_transformers.x_transformers")
    bias = lower(encoding_of("alibi", n_heads=n_heads).bias(row(), row()))
    distance = (row().T - row()).tril()
    agree(bias, -torch.tensor(series(n_heads))[None, :, None, None] * distance)
    agree(bias, lower(x_transformers.AlibiPositionalBias(heads=n_heads)(T, T)[None]))
    # Bloom's is the same up to a constant for each query, which a softmax doesn't see.
    theirs = bloom.build_alibi_tensor(torch.ones(1, T), n_heads, torch.float32)[None]
    agree(bias, lower(theirs - theirs.transpose(-1, -2)))


BUCKETS = [(32, 128), (8, 16), (2, 2), (3, 7), (9, 100), (16, 17), (64, 512), (32, 20)]


@torch.no_grad()
@pytest.mark.parametrize(("n_buckets", "max_distance"), BUCKETS)
def test_t5_buckets(n_buckets: int, max_distance: int) -> None:
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    x_transformers = pytest.importorskip("x_transformers.x_transformers")
    length, options = 600, {"n_buckets": n_buckets, "max_distance": max_distance}
    encoding = encoding_of("t5", length=length, n_heads=3, **options)
    bias = encoding.bias(row(length), row(length))
    past = row(length) - row(length).T
    sizes = {"num_buckets": n_buckets, "max_distance": max_distance}
    buckets = t5.T5Attention._relative_position_bucket(past, bidirectional=False, **sizes)
    agree(lower(bias), lower(encoding.table.weight[buckets].permute(2, 0, 1)[None]), 0.0)
    other = x_transformers.RelativePositionBias(1.0, causal=True, heads=3, **sizes)
    other.relative_attention_bias.weight.copy_(encoding.table.weight)
    agree(lower(bias), lower(other(length, length)[None]), 0.0)
    # Rows further along than the table of distances, cut out of the middle.
    late = encoding.bias(row(length)[:, 500:], row(length)[:, 480:])
    agree(late.tril(20), bias[:, :, 500:, 480:].tril(20), 0.0)


def test_t5_has_one_table_for_all_layers_and_fire_and_cope_one_for_each() -> None:
    for name, shared in (("t5", True), ("kerple", True), ("fire", False), ("cope", False)):
        sets = ["model.n_layers=3", f"model.positional_encoding={name}"]
        model = Decoder(load_plan(DEFAULT, sets), 32)
        assert len(model.encodings) == (1 if shared else 3), name


@torch.no_grad()
def test_kerple_by_hand() -> None:
    encoding = encoding_of("kerple", n_heads=3)
    bias = encoding.bias(row(), row())
    expected = torch.zeros(1, 3, T, T)
    for h in range(3):
        r1, r2 = math.exp(encoding.log_r1[h]), math.exp(encoding.log_r2[h])
        for i in range(T):
            for j in range(i + 1):
                expected[0, h, i, j] = -r1 * math.log(1 + r2 * (i - j))
    agree(lower(bias), expected)


def test_kerple_starts_as_its_authors_do() -> None:
    encoding = encoding_of("kerple", n_heads=64, head_dim=2, moved=False)
    for log_r, largest in ((encoding.log_r1, 2.0), (encoding.log_r2, 1.0)):
        r = log_r.detach().exp()
        assert 0.0099 < r.min() < 0.1 * largest
        assert 0.9 * largest < r.max() <= largest


@torch.no_grad()
@pytest.mark.parametrize(
    "options",
    [{}, {"hidden": 5}, {"c": 2.0}, {"threshold": 6.0}, {"hidden": 3, "c": 0.5, "threshold": 20.0}],
)
def test_fire_by_hand(options: dict[str, float]) -> None:
    encoding = encoding_of("fire", n_heads=3, **options)
    bias = encoding.bias(row(), row())
    c, threshold = math.exp(encoding.log_c), math.exp(encoding.log_threshold)
    up, down = encoding.up.weight[:, 0].tolist(), encoding.down.weight.tolist()
    up_bias, down_bias = encoding.up.bias.tolist(), encoding.down.bias.tolist()
    assert len(up) == options.get("hidden", 32)
    expected = torch.zeros(1, 3, T, T)
    for i in range(T):
        for j in range(i + 1):
            share = math.log(c * (i - j) + 1) / math.log(c * max(threshold, i) + 1)
            hidden = [max(0.0, w * share + b) for w, b in zip(up, up_bias, strict=True)]
            for h in range(3):
                terms = (w * x for w, x in zip(down[h], hidden, strict=True))
                expected[0, h, i, j] = sum(terms) + down_bias[h]
    agree(lower(bias), expected)


def test_fire_starts_where_its_options_say() -> None:
    model = Decoder(load_plan(DEFAULT, ["model.positional_encoding={name='fire', c=0.5}"]), 32)
    for encoding in model.encodings.values():
        assert encoding.log_c.exp().item() == pytest.approx(0.5)
        assert encoding.log_threshold.exp().item() == pytest.approx(512)


def cope_scene(n_heads: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Queries [2, H, T, 8], logits [2, H, T, T], and what is visible."""
    torch.manual_seed(11)
    q, logits = torch.randn(2, n_heads, T, 8), torch.randn(2, n_heads, T, T)
    return q, logits, torch.ones(2, 1, T, T, dtype=torch.bool).tril()


@torch.no_grad()
@pytest.mark.parametrize("npos_max", [64, 16, 3, 2])
def test_cope_is_x_transformers(npos_max: int) -> None:
    x_transformers = pytest.importorskip("x_transformers.x_transformers")
    encoding = encoding_of("cope", n_heads=3, npos_max=npos_max)
    q, logits, visible = cope_scene()
    other = x_transformers.CoPE(dim=8, heads=3, max_pos=npos_max)
    other.pos_emb.copy_(encoding.table.weight)
    masked = logits.masked_fill(~visible, -torch.finfo(torch.float32).max)
    places = row().expand(2, T)[..., None]
    scored = encoding.score(q, logits, places, places, visible)
    agree(scored.tril(), (logits + other(q, masked)).tril())


@torch.no_grad()
@pytest.mark.parametrize("window", [None, 5])
def test_cope_counts_by_position_in_whatever_order_keys_come(window: int | None) -> None:
    encoding = encoding_of("cope", n_heads=3, npos_max=7)
    q, logits, visible = cope_scene()
    if window:
        visible = visible & ~visible.tril(-window)
    places = row().expand(2, T)[..., None]
    whole = encoding.score(q, logits, places, places, visible)
    order = torch.stack([torch.randperm(T), torch.randperm(T)])
    index = order[:, None, None].expand_as(logits)
    shuffled = encoding.score(
        q,
        logits.gather(-1, index),
        places,
        places.gather(1, order[..., None]),
        visible.expand_as(logits).gather(-1, index),
    )
    seen = visible.expand_as(whole)
    agree(shuffled[seen.gather(-1, index)], whole.gather(-1, index)[seen.gather(-1, index)])
    # By hand for one query: gates from the key up to the query, embeddings in between.
    b, h, i = 1, 2, 30
    first = 0 if window is None else i - window + 1
    for j in range(first, i + 1):
        counted = min(float(torch.sigmoid(logits[b, h, i, j : i + 1]).sum()), 6.0)
        below, above = math.floor(counted), math.ceil(counted)
        e = encoding.table.weight
        at = e[below] + (counted - below) * (e[above] - e[below])
        expected = logits[b, h, i, j] + (q[b, h, i] * at).sum()
        assert float(whole[b, h, i, j]) == pytest.approx(float(expected), abs=1e-4)


def test_fox_starts_by_forgetting_as_told() -> None:
    for start in (3.0, 0.0):
        sets = [f"model.positional_encoding={{ name = 'fox', start = {start} }}"]
        for encoding in Decoder(load_plan(DEFAULT, sets), 32).encodings.values():
            assert torch.equal(encoding.gate.bias, torch.full((4,), start))


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        (
            "{ name = 't5', n_buckets = 16, max_distance = 8 }",
            "must be more than n_buckets / 2 = 8",
        ),
        ("{ name = 'xpos', scale_base = 1 }", "max_seq_len = 64 is more than 32 · scale_base = 32"),
        (
            "{ name = 'rope', factor = 2 }",
            "factor is for scaling = linear or ntk or yarn or llama3",
        ),
        ("{ name = 'rope', scaling = 'ntk', beta_slow = 2 }", "beta_slow is for scaling = yarn"),
        ("{ name = 'rope', scaling = 'yarn', beta_slow = 40 }", "must be less than beta_fast = 32"),
        (
            "{ name = 'rope', scaling = 'llama3', low_freq_factor = 4 }",
            "low_freq_factor = 4.0 must be less than high_freq_factor = 4.0",
        ),
        (
            "{ name = 'rope', scaling = 'linear', original_max_seq_len = 16 }",
            "original_max_seq_len is for scaling = yarn or llama3: with linear it has no effect",
        ),
        ("{ name = 'rope', fraction = 0.1 }", "even and at least 2: fraction = 0.1 of 32 is 3"),
        ("{ name = 'rope', fraction = 0.01 }", "even and at least 2: fraction = 0.01 of 32 is 0"),
        ("{ name = 'rope', p = 0.05 }", "with p = 0.05 the rotated part of head_dim"),
        (
            "{ name = 'rope', scaling = 'ntk', fraction = 0.0625 }",
            "with scaling = ntk the rotated part of head_dim must be even and at least 4, not 2",
        ),
    ],
)
def test_what_cannot_work_or_would_be_ignored_is_refused(encoding: str, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_plan(DEFAULT, [f"model.positional_encoding={encoding}"])
    assert any(words in problem.message for problem in refusal.value.problems), refusal.value
