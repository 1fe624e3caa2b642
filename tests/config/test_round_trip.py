"""A plan written as `config.json` and read back is the same plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from config_helpers import CONFIGS, plan_of

from tp_core.config.plan import Plan, load_plan
from tp_core.config.schema import SECTIONS
from tp_core.kernel.catalogue import Catalogue

SETS: list[list[str]] = [
    [],
    ["model.attention.qk_norm=layernorm", "model.attention.qk_norm.eps=0.5"],
    ["model.mlp_enabled=false", "model.mlp=null"],
    ["model.mlp_enabled=false"],
    ["sampling.samplers=[]", "report.metrics=[]"],
    ['model.pattern=["a", "b"]'],
    [
        'model.pattern=["a", "b"]',
        "model.attention.qk_norm=rmsnorm",
        'model.layers.a={attention = {window = 3, qk_norm = "layernorm"}, mlp_enabled = false}',
        "model.layers.b.positional_encoding=none",
        "model.layers.b.norm=layernorm",
        "model.layers.b.attention.qk_norm=null",
        "model.layers.b.mlp={expansion = 3}",
    ],
]


def again(plan: Plan, path: Path) -> Plan:
    path.write_text(json.dumps(plan.config.as_data(), allow_nan=False))
    return load_plan(path, catalogue=plan.catalogue)


@pytest.mark.parametrize("sets", SETS, ids=lambda sets: " ".join(sets)[:40])
def test_a_plan_survives_its_json(tmp_path: Path, sets: list[str]) -> None:
    plan = plan_of(None, *sets)
    back = again(plan, tmp_path / "config.json")
    assert back == plan
    assert back.config.as_data() == plan.config.as_data()
    assert back.layers == plan.layers
    assert [c.spec for c in back.components()] == [c.spec for c in plan.components()]


@pytest.mark.parametrize("name", sorted(p.name for p in CONFIGS.glob("*.*") if p.is_file()))
def test_the_shipped_plans_survive_it(tmp_path: Path, name: str) -> None:
    plan = load_plan(CONFIGS / name)
    assert again(plan, tmp_path / "config.json") == plan


def test_every_default_is_written_out() -> None:
    plan = plan_of(None, "model.attention.qk_norm=rmsnorm")
    data = plan.config.as_data()
    assert data["schema_version"] == 1
    assert data["model"]["attention"] == {
        **plan.layers[0]["attention"].registered.component.options().model_dump(),
        "name": "softmax",
        "qk_norm": {"name": "rmsnorm", "eps": 1e-6, "gain": "plain"},
    }
    assert data["model"]["attention"]["window"] is None
    assert data["eval"] == {"max_lines": 2000}
    for name, section in data.items():
        if isinstance(section, dict):
            assert list(section) == list(SECTIONS[name].model_fields)
    for chosen in plan.components():
        assert set(chosen.spec.options) == set(chosen.registered.component.options.model_fields)


def test_options_of_every_type_survive(tmp_path: Path, fake: Callable[[str], Catalogue]) -> None:
    code = """
    class Typed(Options):
        path: Path | None = F(None)
        words: tuple[str, ...] = F(("a",))
        grid: tuple[tuple[int, ...], ...] = F(((1,), ()))
        table: dict[str, float] = F({"x": 1})
        number: float = F(1)
        norm: Spec["norm"] = F("rmsnorm")
        norms: tuple[Spec["norm"], ...] = F(("rmsnorm", "layernorm"))
    tp_mlps = components("mlp", ("typed", Typed, ()))
    """
    changes: dict[str, Any] = {
        "name": "typed",
        "path": "a/b",
        "words": [],
        "number": 3,
        "norms": [{"name": "layernorm", "bias": False}],
    }
    for mlp in ("typed", changes):
        plan = plan_of({"model": {"mlp": mlp}}, catalogue=fake(code))
        back = again(plan, tmp_path / "config.json")
        assert back == plan
        options = plan.layers[0]["mlp"].options
        nested = [dict(options)["norm"], *dict(options)["norms"]]
        assert [spec.kind for spec in nested] == ["norm"] * len(nested)
        assert [c.spec for c in plan.layers[0]["mlp"].nested] == nested


def test_qualified_names_are_stored_and_read(
    tmp_path: Path, fake: Callable[[str], Catalogue]
) -> None:
    plan = plan_of(
        {"model": {"pattern": ["a"], "mlp": "mine", "layers": {"a": {"mlp": {"size": 2}}}}},
        catalogue=fake("""
        class Mine(Options):
            size: int = F(1)
        tp_mlps = components("mlp", ("mine", Mine, ()))
        """),
    )
    data = plan.config.as_data()["model"]
    assert data["mlp"] == {"name": "tp-fake:mine", "size": 1}
    assert data["layers"]["a"]["mlp"] == {"name": "tp-fake:mine", "size": 2}
    assert again(plan, tmp_path / "config.json") == plan


def test_what_is_set_on_a_runs_config_json(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    plan = plan_of(None, 'model.pattern=["a", "b"]', "model.layers.a.attention.window=3")
    path.write_text(json.dumps(plan.config.as_data()))
    changed = load_plan(path, ["model.layers.a.attention.window=null", "model.norm=layernorm"])
    assert [layer["attention"].options.model_dump()["window"] for layer in changed.layers] == [
        None
    ] * 4
    assert changed.norm.spec.as_data() == {
        "name": "layernorm",
        "eps": 1e-5,
        "gain": True,
        "bias": True,
    }
