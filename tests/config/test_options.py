"""`Options`, `Spec` and `Dims` as a plugin author meets them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from config_helpers import plan_of
from pydantic import Field, ValidationError

from tp_core.config.components import resolve_spec
from tp_core.kernel.catalogue import Catalogue, UnknownComponent
from tp_core.kernel.options import Dims, Options, Spec, spec_kind, validate

DIMS = Dims(dim=8, d_model=8, n_layers=1, n_heads=2, head_dim=4, max_seq_len=16)


class Sample(Options):
    size: int = Field(4, ge=1, description="a size")
    rate: float = Field(0.5, description="a rate")
    on: bool = Field(False, description="a switch")
    mode: Literal["a", "b"] = Field("a", description="a choice")
    shape: tuple[int, ...] = Field((1, 2), description="a shape")
    norm: Spec[Literal["norm"]] | None = Field(None, description="a norm")
    norms: tuple[Spec[Literal["norm"]], ...] = Field((), description="norms")
    bare: Spec[Literal["mlp"]] = Field(Spec("gelu"), description="an mlp")
    marked: Annotated[Spec[Literal["norm"]] | None, Field(description="deep")] = None


def test_options_are_values() -> None:
    one = validate(Sample, {"norm": {"name": "rmsnorm", "eps": 1e-5}, "shape": [3]})
    same = validate(Sample, {"shape": [3], "norm": {"eps": 1e-5, "name": "rmsnorm"}, "size": 4})
    other = validate(Sample, {"norm": "rmsnorm", "shape": [3]})
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert {one, same, other} == {one, other}
    assert one.shape == (3,)
    for field in ("size", "norm"):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(one, field, None)


def test_equal_specs_hash_alike() -> None:
    assert Spec("a", {"x": 1}) == Spec("a", {"x": 1.0})
    assert hash(Spec("a", {"x": 1})) == hash(Spec("a", {"x": 1.0}))
    assert hash(Spec("a", {"x": (1,), "y": Spec("b")})) is not None
    assert len({Spec("a"), Spec("a", {}, "norm"), Spec("a", {"x": 1}), Spec("a")}) == 3


@pytest.mark.parametrize(
    "data",
    [
        {"size": True},
        {"size": "5"},
        {"size": 5.0},
        {"size": 0},
        {"rate": True},
        {"rate": "0.5"},
        {"rate": float("nan")},
        {"rate": float("inf")},
        {"on": 1},
        {"mode": "c"},
        {"shape": 5},
        {"shape": ["1"]},
        {"norm": 5},
        {"norm": {}},
        {"norm": {"name": 5}},
        {"unknown": 1},
    ],
)
def test_values_are_strict(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validate(Sample, data)


def test_a_value_json_lacks_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="is not a string, number, boolean, list or table"):
        validate(Sample, {"size": object()})


def test_a_whole_number_will_do_for_a_rate() -> None:
    assert validate(Sample, {"rate": 1}).rate == 1.0


def test_specs_are_parsed_and_written_as_a_config_has_them() -> None:
    options = validate(Sample, {"norm": "rmsnorm", "norms": ["a", {"name": "b", "x": 1}]})
    assert options.norm == Spec("rmsnorm")
    assert options.norms == (Spec("a"), Spec("b", {"x": 1}))
    dumped = options.model_dump(mode="json")
    assert dumped["norm"] == {"name": "rmsnorm"}
    assert dumped["norms"] == [{"name": "a"}, {"name": "b", "x": 1}]
    assert validate(Sample, dumped) == options


def test_kinds_of_fields() -> None:
    kinds = {name: spec_kind(Sample, name) for name in Sample.model_fields}
    assert {name: kind for name, kind in kinds.items() if kind} == {
        "norm": "norm",
        "norms": "norm",
        "bare": "mlp",
        "marked": "norm",
    }


@pytest.mark.parametrize(
    ("annotation", "field", "words"),
    [
        (int, Field(1), "has no description"),
        (int, 1, "has no description"),
        (list[int], Field([], description="x"), r"use tuple\[...\]"),
        (tuple[list[int], ...], Field((), description="x"), r"use tuple\[...\]"),
        (set[int] | None, Field(None, description="x"), r"use tuple\[...\]"),
    ],
)
def test_a_field_that_is_no_option(annotation: Any, field: Any, words: str) -> None:
    with pytest.raises(TypeError, match=f"Bad: option 'x'.*{words}"):
        type("Bad", (Options,), {"__annotations__": {"x": annotation}, "x": field})


@pytest.mark.parametrize("name", ["name", "problems", "offers"])
@pytest.mark.filterwarnings("ignore:Field name")
def test_names_that_are_taken(name: str) -> None:
    with pytest.raises(TypeError, match=f"'{name}' is reserved"):
        type(
            "Bad",
            (Options,),
            {"__annotations__": {name: int}, name: Field(1, description="x")},
        )


def test_the_answers_nobody_gave() -> None:
    assert not list(Sample().problems(DIMS))
    assert dict(Sample().offers(DIMS)) == {}


# --- resolving a spec by hand, as a build does ---


def test_a_resolved_spec_is_complete_and_resolves_to_itself(
    fake: Callable[[str], Catalogue],
) -> None:
    catalogue = fake("""
    class Outer(Options):
        inner: Spec["norm"] = F("layernorm")
        more: tuple[Spec["norm"], ...] = F(("rmsnorm",))
    tp_mlps = components("mlp", ("outer", Outer, ()))
    """)
    chosen = resolve_spec(catalogue, Spec("outer", {}, "mlp"))
    assert chosen.spec == Spec(
        "tp-fake:outer",
        {
            "inner": {"name": "layernorm", "eps": 1e-5, "gain": True, "bias": True},
            "more": [{"name": "rmsnorm", "eps": 1e-6, "gain": "plain"}],
        },
        "mlp",
    )
    inner = chosen.options.model_dump()["inner"]
    assert inner["name"] == "layernorm"
    assert [c.name for c in chosen.walk()] == ["tp-fake:outer", "layernorm", "rmsnorm"]
    assert resolve_spec(catalogue, chosen.spec) == chosen


def test_nested_specs_know_their_kind() -> None:
    attention = plan_of(None, "model.attention.qk_norm=rmsnorm").layers[0]["attention"]
    spec = dict(attention.options)["qk_norm"]
    assert spec == Spec("rmsnorm", {"eps": 1e-6, "gain": "plain"}, "norm")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (Spec("nrm", {}, "norm"), "no norm 'nrm'"),
        (Spec("rmsnorm", {"esp": 1}, "norm"), "esp: norm 'rmsnorm' has no key 'esp'. Did you mean"),
        (Spec("softmax", {"qk_norm": "x"}, "attention"), "qk_norm: no norm 'x'"),
    ],
)
def test_a_spec_that_resolves_to_nothing(spec: Spec[Any], words: str) -> None:
    with pytest.raises(UnknownComponent, match=words.replace("(", r"\(")):
        resolve_spec(Catalogue(), spec)
