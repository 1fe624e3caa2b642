"""`--set` on components: the same name merges, another replaces, and layers do likewise."""

from __future__ import annotations

from typing import Any

import pytest
from config_helpers import DEFAULT, plan_of, problem_of, problems_of

from tp_core.config.plan import load_plan
from tp_core.errors import ConfigError


def attention(changes: dict[str, Any] | None, *sets: str) -> dict[str, Any]:
    """The resolved attention where the config writes it as `changes` say."""
    written = {"model": {"attention": changes}} if changes else None
    return plan_of(written, *sets).layers[0]["attention"].spec.as_data()


def test_options_are_set_on_a_name_and_on_a_table() -> None:
    table = {"name": "softmax", "bias": True}
    assert attention(None, "model.attention.n_kv_heads=2")["n_kv_heads"] == 2
    changed = attention(table, "model.attention.n_kv_heads=2")
    assert (changed["n_kv_heads"], changed["bias"]) == (2, True)
    again = attention({**table, "n_kv_heads": 2}, "model.attention.n_kv_heads=null")
    assert again["n_kv_heads"] is None


@pytest.mark.parametrize(
    "over",
    [
        "softmax",
        '"softmax"',
        '{name = "softmax"}',
        "{}",
        "{window = 7}",
        '{name = "softmax", window = 7}',
    ],
)
def test_the_same_name_or_none_keeps_the_options(over: str) -> None:
    changed = attention({"name": "softmax", "bias": True}, f"model.attention={over}")
    assert (changed["name"], changed["bias"]) == ("softmax", True)
    assert changed["window"] == (7 if "7" in over else None)


@pytest.mark.parametrize("over", ["linear", '"linear"', '{name = "linear"}'])
def test_another_name_replaces_the_options(over: str) -> None:
    changed = attention({"name": "softmax", "bias": True}, f"model.attention={over}")
    assert changed["name"] == "linear"
    assert attention({"name": "softmax", "bias": True}, "model.attention.name=linear") == changed


def test_options_follow_a_name_set_before_them() -> None:
    for name in ("softmax", '"softmax"', '{name = "softmax"}'):
        changed = attention(
            {"name": "linear"}, f"model.attention={name}", "model.attention.window=3"
        )
        assert (changed["name"], changed["window"]) == ("softmax", 3)


@pytest.mark.parametrize("base", [None, {"name": "softmax", "qk_norm": "layernorm"}])
def test_options_inside_options(base: dict[str, Any] | None) -> None:
    changed = attention(base, "model.attention.qk_norm=rmsnorm", "model.attention.qk_norm.eps=1e-5")
    assert changed["qk_norm"] == {"name": "rmsnorm", "eps": 1e-5, "gain": "plain"}
    assert attention(base, 'model.attention.qk_norm={name = "rmsnorm", eps = 1e-5}') == changed
    assert attention(base, "model.attention.qk_norm=null")["qk_norm"] is None


def test_a_table_merges_into_a_nested_component_as_anywhere() -> None:
    base = {"name": "softmax", "qk_norm": {"name": "layernorm", "bias": False}}
    changed = attention(base, "model.attention.qk_norm={eps = 0.5}")
    assert changed["qk_norm"] == {"name": "layernorm", "eps": 0.5, "gain": True, "bias": False}
    assert attention(base, "model.attention.qk_norm=layernorm")["qk_norm"]["bias"] is False
    assert attention(base, "model.attention={qk_norm = {eps = 0.5}}") == changed


def test_a_component_that_is_null_was_left_out() -> None:
    plan = plan_of(None, "model.mlp=null", "model.mlp_enabled=false")
    assert plan.config.model.mlp is None
    assert "Choose a norm" in problem_of(None, "model.norm=null").message


@pytest.mark.parametrize("value", ["5", "true", "2020-01-01", "[1]", "", "{}x"])
def test_rubbish_for_a_component(value: str) -> None:
    problem = problem_of(None, f"model.norm={value}")
    assert (problem.key, problem.place) == ("model.norm", f"--set model.norm={value}")


def test_entries_of_a_chain() -> None:
    def chain(*sets: str) -> list[Any]:
        return [sampler.spec.as_data() for sampler in plan_of(None, *sets).samplers]

    hot, nucleus = {"name": "temperature", "temperature": 0.5}, {"name": "top_p", "p": 0.5}
    assert chain("sampling.samplers.0.temperature=0.5") == [hot, nucleus]
    assert chain("sampling.samplers.1.p=0.25")[1] == {"name": "top_p", "p": 0.25}
    assert chain("sampling.samplers.1=top_p")[1] == nucleus
    assert chain("sampling.samplers.1=greedy")[1] == {"name": "greedy"}
    assert chain("sampling.samplers=[]") == []
    assert chain('sampling.samplers=["greedy", {name = "top_p", p = 0.5}]') == [
        {"name": "greedy"},
        nucleus,
    ]
    assert chain('sampling.samplers=["temperature"]', "sampling.samplers.0.temperature=0.5") == [
        hot
    ]


@pytest.mark.parametrize("index", ["2", "-1", "x", "²", "01", "9" * 5000])
def test_an_index_that_is_none(index: str) -> None:
    problem = problem_of(None, f"sampling.samplers.{index}.p=1")
    assert "is not an index into a list of 2 entries" in problem.message


def test_a_chain_of_rubbish_names_each_entry() -> None:
    problems = problems_of(
        {"sampling": {"samplers": ["gredy", 5, {"p": 1}, "top_p", {"name": "top_p", "p": 2}]}}
    )
    assert [p.key for p in problems] == [f"sampling.samplers.{i}" for i in (0, 1, 2)] + [
        "sampling.samplers.4.p"
    ]
    assert "Did you mean 'greedy'?" in problems[0].message
    assert problem_of(None, "sampling.samplers=greedy").key == "sampling.samplers"


# --- layers ---

LAYERED = {
    "model": {"n_layers": 2, "pattern": ["a", "b"], "layers": {"a": {"attention": "softmax"}}}
}


@pytest.mark.parametrize("label", ["a", "b"])
def test_a_layers_options_are_set_whether_its_table_exists_or_not(label: str) -> None:
    plan = plan_of(LAYERED, f"model.layers.{label}.attention.window=8", "model.attention.bias=true")
    windows = [layer["attention"].options.model_dump()["window"] for layer in plan.layers]
    assert windows == [8 if layer.label == label else None for layer in plan.layers]
    assert all(layer["attention"].options.model_dump()["bias"] for layer in plan.layers)


@pytest.mark.parametrize(
    "assignment",
    [
        "model.layers.a.mlp_enabled=false",
        "model.layers.a={mlp_enabled = false}",
        "model.layers={a = {mlp_enabled = false}}",
        "model={layers = {a = {mlp_enabled = false}}}",
    ],
)
def test_a_layers_table_is_laid_over_whole_or_in_part(assignment: str) -> None:
    changed = plan_of(
        {"model": {**LAYERED["model"], "layers": {"a": {"norm": "layernorm"}}}}, assignment
    )
    assert [layer.mlp_enabled for layer in changed.layers] == [False, True]
    assert changed.layers[0]["norm"].name == "layernorm"


def test_a_layers_nested_component_merges_with_the_models() -> None:
    base = {
        "model": {
            **LAYERED["model"],
            "attention": {"name": "softmax", "qk_norm": {"name": "layernorm", "bias": False}},
        }
    }
    for text in ("{eps = 0.5}", '{name = "layernorm", eps = 0.5}'):
        plan = plan_of(base, f"model.layers.a.attention.qk_norm={text}")
        norms = [layer["attention"].spec.as_data()["qk_norm"] for layer in plan.layers]
        assert norms[0] == {"name": "layernorm", "eps": 0.5, "gain": True, "bias": False}
        assert norms[1] == {"name": "layernorm", "eps": 1e-5, "gain": True, "bias": False}


def test_a_quoted_name_is_the_same_name_in_a_layer() -> None:
    plan = plan_of(LAYERED, 'model.attention="softmax"', "model.layers.a.attention={window = 3}")
    assert plan.layers[0]["attention"].options.model_dump()["window"] == 3


# --- the default config ---


def test_the_usual_changes_to_the_default_config() -> None:
    plan = load_plan(
        DEFAULT, ["model.mlp_enabled=false", "model.positional_encoding=none", "train.max_steps=60"]
    )
    assert plan.positional_encoding.name == "none"
    assert not any(layer.mlp_enabled for layer in plan.layers)
    assert {c.kind for layer in plan.layers for c in layer.components()} == {
        "positional_encoding",
        "attention",
        "norm",
        "block",
    }


@pytest.mark.parametrize("last", ["model.attention=linear", 'model.attention={name = "linear"}'])
def test_an_option_set_before_its_component_is_replaced_is_not_lost_in_silence(last: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        plan_of(None, "model.attention.dropout=0.5", last)
    (problem,) = refusal.value.problems
    assert problem.place == "--set model.attention.dropout=0.5"
    assert f"is discarded by --set {last}" in problem.message
    plan_of(None, "model.attention.dropout=0.5", "model.attention=softmax")
    plan_of(None, last, "model.attention.decay=none")


def test_so_it_is_inside_options() -> None:
    eps, norm = "model.attention.qk_norm.eps=0.5", "model.attention.qk_norm=layernorm"
    problem = problem_of(None, eps, norm)
    assert problem.place == f"--set {eps}"
    assert f"is discarded by --set {norm}" in problem.message
    assert attention(None, norm, eps, norm)["qk_norm"]["eps"] == 0.5
