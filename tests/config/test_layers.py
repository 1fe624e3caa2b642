"""`model.pattern` and `[model.layers.LABEL]`: which layer has what."""

from __future__ import annotations

from typing import Any

import pytest
from config_helpers import config, plan_of, problem_of, problems_of


def layered(pattern: list[str], n_layers: int = 4, **layers: Any) -> dict[str, Any]:
    return {"model": {"n_layers": n_layers, "pattern": pattern, "layers": layers}}


def test_labels_are_cycled_over_the_layers() -> None:
    plan = plan_of(layered(["a", "a", "b"], 5, b={"norm": "layernorm"}))
    assert [layer.label for layer in plan.layers] == ["a", "a", "b", "a", "a"]
    assert [layer["norm"].name for layer in plan.layers] == [
        "layernorm" if label == "b" else "rmsnorm" for label in "aabaa"
    ]
    assert [layer.index for layer in plan.layers] == [0, 1, 2, 3, 4]
    assert plan.norm.name == "rmsnorm"


def test_a_layer_changes_options_or_the_component() -> None:
    changes = layered(
        ["a", "b", "c"],
        a={"attention": {"window": 5}},
        b={"attention": {"name": "softmax", "window": 5}},
        c={"attention": {"name": "linear"}},
    )
    changes["model"]["attention"] = {"name": "softmax", "bias": True}
    found = [layer["attention"].spec.as_data() for layer in plan_of(changes).layers]
    assert found[0] == found[1]
    assert (found[0]["window"], found[0]["bias"]) == (5, True)
    assert found[2]["name"] == "linear"
    assert found[3] == found[0]


def test_without_a_pattern_there_are_no_labels() -> None:
    plan = plan_of({"model": {"n_layers": 2}})
    assert [layer.label for layer in plan.layers] == ["", ""]
    assert plan.config.as_data()["model"]["layers"] == {}


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        (layered(["a"], b={}), "model.layers.b", "'b' is not in model.pattern"),
        (layered(["local"], locl={}), "model.layers.locl", "Did you mean 'local'?"),
        (layered([], a={}), "model.layers.a", "so no layer uses it"),
        (layered(["a"] * 5), "model.pattern", "has 5 labels but n_layers = 4"),
        (layered(["a"], a=5), "model.layers.a", "must be a table, not 5"),
        (layered(["a"], a={"nrm": 1}), "model.layers.a.nrm", "Did you mean 'norm'?"),
        (layered(["a"], a={"mlp_enabled": 1}), "model.layers.a.mlp_enabled", "true or false"),
        (layered(["a"], a={"d_model": 1}), "model.layers.a.d_model", "has no key 'd_model'"),
        (layered(["a"], a={"norm": 5}), "model.layers.a.norm", "must be a component"),
        (layered(["a"], a={"norm": "x"}), "model.layers.a.norm", "no norm 'x'"),
        (layered(["a"], a={"norm": {"eps": 0}}), "model.layers.a.norm.eps", "greater than 0"),
        ({"model": {"layers": 5}}, "model.layers", "must be a table, not 5"),
        ({"model": {"layers": []}}, "model.layers", "must be a table, not []"),
    ],
)
def test_what_a_layers_table_can_not_be(changes: dict[str, Any], key: str, words: str) -> None:
    problem = problem_of(changes)
    assert problem.key == key
    assert words in problem.message


def test_a_wrong_pattern_does_not_make_every_label_wrong() -> None:
    changes = layered(["a"], a={"norm": "layernorm"})
    changes["model"]["pattern"] = "a"
    assert problem_of(changes).key == "model.pattern"


def test_a_fault_of_the_model_is_not_told_again_for_each_label() -> None:
    changes = layered(["a", "b"], a={"attention": {"window": 3}}, b={"attention": {"windw": 3}})
    changes["model"]["attention"] = {"name": "softmax", "bias": 5}
    assert [p.key for p in problems_of(changes)] == [
        "model.attention.bias",
        "model.layers.b.attention.windw",
    ]
    changes["model"]["attention"] = "sofmax"
    assert [p.key for p in problems_of(changes)] == ["model.attention"]


def test_an_embedding_encoding_is_the_whole_models() -> None:
    assert plan_of({"model": {"positional_encoding": "learned"}})
    same = layered(["a", "b"], a={"attention": {"window": 3}}, b={"positional_encoding": "learned"})
    same["model"]["positional_encoding"] = "learned"
    assert plan_of(same)
    for model_wide, layer in (("rope", "learned"), ("learned", "rope"), ("learned", "none")):
        changes = layered(["a", "b"], a={"positional_encoding": layer})
        changes["model"]["positional_encoding"] = model_wide
        problem = problem_of(changes)
        assert problem.key == "model.layers.a.positional_encoding"
        assert problem.message.startswith(
            "layers 0,2 (pattern \"a\"): positional encoding 'learned' acts on the embeddings"
        )


def test_a_finding_shared_by_labels_is_told_once() -> None:
    changes = layered(["a", "b"], 3, a={"attention": {"window": 3}})
    changes["model"] |= {"d_model": 12}
    problem = problem_of(changes)
    assert problem.key == "model.positional_encoding"
    assert problem.message.startswith('layers 0-2 (pattern "a", "b"): ')


def test_a_problem_of_a_components_own_options_is_told_at_its_label() -> None:
    changes = layered(["a", "b"], 3, a={"attention": {"n_kv_heads": 3}})
    problem = problem_of(changes)
    assert problem.key == "model.layers.a.attention"
    assert problem.message.startswith("layers 0,2 (pattern \"a\"): attention 'softmax': ")


# --- MLPs ---


def without_mlp(**changes: Any) -> dict[str, Any]:
    model = config()["model"]
    del model["mlp"]
    return {"model": {**model, "mlp": None, **changes}}


def test_an_mlp_that_is_off_may_be_left_out() -> None:
    plan = plan_of(without_mlp(mlp_enabled=False))
    assert "mlp" not in plan.config.as_data()["model"]
    assert all("mlp" not in {c.kind for c in layer.components()} for layer in plan.layers)
    assert problem_of(without_mlp()).key == "model.mlp"


def test_an_mlp_that_is_off_is_checked_all_the_same() -> None:
    plan = plan_of({"model": {"mlp_enabled": False}})
    assert plan.config.as_data()["model"]["mlp"]["name"] == "gelu"
    assert problem_of({"model": {"mlp_enabled": False, "mlp": "gleu"}}).key == "model.mlp"


def test_each_layer_with_an_mlp_needs_one() -> None:
    on, off = {"mlp_enabled": True}, {"mlp_enabled": False}
    some = layered(["a", "b"], a=on)["model"]
    problem = problem_of(without_mlp(**some, mlp_enabled=False))
    assert "under [model] add mlp = " in problem.message
    own = layered(["a", "b"], a={**on, "mlp": "swiglu"})["model"]
    plan = plan_of(without_mlp(**own, mlp_enabled=False))
    assert [layer.mlp_enabled for layer in plan.layers] == [True, False, True, False]
    assert plan.layers[0]["mlp"].name == "swiglu"
    every = layered(["a", "b"], a={"mlp": "swiglu"}, b=off)["model"]
    assert [layer.mlp_enabled for layer in plan_of(without_mlp(**every)).layers] == [
        True,
        False,
        True,
        False,
    ]
