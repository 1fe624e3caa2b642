"""Which encoding works with which attention: the expected table, and how a refusal reads."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tp_core.config.plan import load_plan
from tp_core.errors import ConfigError
from tp_core.kernel.catalogue import OWN, Catalogue

DEFAULT = Path(__file__).parents[2] / "configs" / "default.toml"

#            none, learned, sinusoidal, rope, xpos, alibi, t5, kerple, fire, fox, cope
TABLE = {
    "softmax": "yes  yes      yes         yes   yes   yes    yes yes     yes   yes  yes",
    "mla": "    yes  yes      yes         yes   yes   yes    yes yes     yes   yes  yes",
    "linear": " yes  yes      yes         yes   yes   no     no  no      no    no   no ",
    "differential": "yes yes  yes         yes   yes   yes    yes yes     yes   yes  yes",
    "gated_delta": " yes yes  yes         no    no    no     no  no      no    no   no ",
}
ENCODINGS = (
    *("none", "learned", "sinusoidal", "rope", "xpos"),
    *("alibi", "t5", "kerple", "fire", "fox", "cope"),
)
MISSING = {
    **dict.fromkeys(("rope", "xpos"), "rotate"),
    **dict.fromkeys(("alibi", "t5", "kerple", "fire"), "bias"),
    **dict.fromkeys(("fox", "cope"), "score"),
}
PAIRS = [
    (encoding, attention, legal == "yes")
    for attention, row in TABLE.items()
    for encoding, legal in zip(ENCODINGS, row.split(), strict=True)
]


def built_in(kind: str) -> set[str]:
    return {c.component.name for c in Catalogue([*Catalogue().plugins]).loaded(kind)}


def test_the_table_is_about_all_that_is_built_in() -> None:
    assert built_in("attention") == set(TABLE)
    assert built_in("positional_encoding") == set(ENCODINGS)
    assert all(c.plugin.distribution == OWN for c in Catalogue().loaded("attention"))


@pytest.mark.parametrize(("encoding", "attention", "legal"), PAIRS)
def test_a_pair_is_legal_as_the_table_says(encoding: str, attention: str, legal: bool) -> None:
    sets = [f"model.positional_encoding={encoding}", f"model.attention={attention}"]
    if legal:
        load_plan(DEFAULT, sets)
        return
    with pytest.raises(ConfigError) as refusal:
        load_plan(DEFAULT, sets)
    (problem,) = refusal.value.problems
    assert problem.key == "model.positional_encoding"
    assert f"layers 0-3: positional encoding '{encoding}' needs site" in problem.message
    assert f"'{MISSING[encoding]}'; attention '{attention}' offers" in problem.message


def test_a_refusal_offers_exactly_what_fits() -> None:
    with pytest.raises(ConfigError) as refusal:
        load_plan(DEFAULT, ["model.positional_encoding=alibi", "model.attention=linear"])
    message = refusal.value.problems[0].message
    encodings = message.split("positional_encoding to one of: ")[1].split(";")[0].split(", ")
    attentions = message.split("attention to one of: ")[1].split(", ")
    fits = {encoding for encoding, attention, legal in PAIRS if legal and attention == "linear"}
    serves = {attention for encoding, attention, legal in PAIRS if legal and encoding == "alibi"}
    assert (set(encodings), set(attentions)) == (fits, serves)


def test_each_layer_of_a_pattern_is_judged_on_its_own() -> None:
    sets = [
        'model.pattern=["rec", "full"]',
        "model.positional_encoding=alibi",
        "model.layers.rec.attention=linear",
    ]
    with pytest.raises(ConfigError) as refusal:
        load_plan(DEFAULT, sets)
    (problem,) = refusal.value.problems
    assert 'layers 0,2 (pattern "rec")' in problem.message
    assert "[model.layers.rec]" in problem.message
    load_plan(DEFAULT, [*sets, "model.layers.rec.positional_encoding=none"])


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["model.d_model=20", "model.n_heads=4"], "head_dim must be even, not 5"),
        (["model.attention={name='mla', d_rope=5}"], "head_dim must be even, not 5"),
        (["model.attention.n_kv_heads=3"], "n_heads = 4 is not divisible by n_kv_heads = 3"),
        (["model.attention.value_residual=0.5", "model.n_layers=1"], "n_layers must be at least 2"),
        (["model.mlp={name='moe', n_experts=2, top_k=3}"], "top_k = 3 is more than n_experts = 2"),
    ],
)
def test_a_size_that_cannot_work_is_refused(sets: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_plan(DEFAULT, sets)
    assert any(words in problem.message for problem in refusal.value.problems)


def test_an_odd_head_is_fine_where_the_rotated_part_is_even() -> None:
    odd = ["model.d_model=20", "model.n_heads=4"]
    load_plan(DEFAULT, [*odd, "model.attention={name='mla', d_rope=4}"])
    load_plan(DEFAULT, [*odd, "model.positional_encoding=none"])


def test_no_pair_is_listed_twice() -> None:
    pairs = [(encoding, attention) for encoding, attention, _ in PAIRS]
    assert sorted(pairs) == sorted(itertools.product(ENCODINGS, TABLE))
