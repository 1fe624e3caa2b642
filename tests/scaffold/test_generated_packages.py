"""A package of every kind as `tp plugins new` writes it, from an empty folder to a trained run.

In a virtual environment of its own, with tp's wheel: written, installed editably, listed, checked,
tested by its own tests, trained with.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from machine import Machine, build

from tp_core.kernel.kinds import KINDS, LAYER_KINDS
from tp_core.scaffold.package import scaffold

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[2]

# Those of one config: a chain of samplers and a list of metrics are given whole.
SETTINGS = [
    *(f"model.{kind}=own_{kind}" for kind in LAYER_KINDS),
    *(f"train.{kind}=own_{kind}" for kind in ("optimizer", "schedule")),
    'sampling.samplers=["own_sampler"]',
    'report.metrics=["likelihood", "own_metric"]',
    'train.callbacks=["own_callback"]',
    *("train.max_steps=8", "model.d_model=32", "model.n_layers=2", "eval.max_lines=50"),
    *("train.sample_interval=4", "train.learning_rate=3e-4"),
]


def folder(kind: str) -> str:
    return f"tp-own-{kind.replace('_', '-')}"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """tp, and a package of each kind, just written and installed."""
    home = tmp_path_factory.mktemp("machine")
    made = Machine(home)
    made.run("pip", "install", "--no-deps", "--no-index", build(ROOT, home))
    for kind in KINDS:
        made.run("tp", "plugins", "new", kind, f"own_{kind}")
    places = [word for kind in KINDS for word in ("-e", folder(kind))]
    # One builder for all of them; left alone, pip would fetch one for each.
    made.run("pip", "install", "hatchling", "editables")
    made.run("pip", "install", "--no-deps", "--no-build-isolation", *places)
    return made


def test_they_are_listed_and_nothing_is_wrong_with_them(machine: Machine) -> None:
    rows = json.loads(machine.run("tp", "plugins", "list", "--json").stdout)["components"]
    mine = {row["kind"]: row for row in rows if row["distribution"].startswith("tp-own-")}
    assert set(mine) == set(KINDS)
    for row in mine.values():
        assert (row["status"], row["version"], row["imports_torch"]) == ("ok", "0.1.0", False)
    for kind in ("attention", "metric"):
        done = machine.run("tp", "plugins", "check", folder(kind))
        assert done.stdout == f"{folder(kind)} 0.1.0: 1 component, no problems found\n"


@pytest.mark.parametrize("kind", KINDS)
def test_their_own_tests_pass(machine: Machine, kind: str) -> None:
    place = machine.home / folder(kind)
    done = machine.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", place)
    assert " passed" in done.stdout
    assert "failed" not in done.stdout


def test_they_train_together(machine: Machine) -> None:
    machine.run("tp", "init", "play")
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    config = ("--config", "play/config.toml", "--set", "data.path=play/phrases.txt")
    machine.run("tp", "train", *config, "--run-id", "all", *sets)
    run = machine.home / "runs" / "all"
    provenance = json.loads((run / "provenance.json").read_text())
    mine = [c for c in provenance["components"] if c["distribution"].startswith("tp-own-")]
    assert {component["kind"] for component in mine} == set(KINDS)
    assert all(component["direct_url"]["dir_info"]["editable"] for component in mine)
    assert provenance["causality_probe"] == "no leak"
    losses = [json.loads(line) for line in (run / "metrics.jsonl").open()]
    val = [line["loss"] for line in losses if line["split"] == "val"]
    assert val[-1] < val[0]
    assert "own_metric" in (run / "summary.json").read_text()
    said = machine.run("tp", "generate", "--run-id", "all", "--prompt", "the", "--seed", "3")
    assert said.stdout.startswith("the")


@pytest.mark.parametrize("kind", KINDS)
def test_the_setting_it_prints_is_taken(machine: Machine, kind: str) -> None:
    machine.run("tp", "init", f"play-{kind}")
    setting = scaffold(kind, f"own_{kind}").setting.strip("'")
    config = Path(f"play-{kind}") / "config.toml"
    machine.run("tp", "config", "check", config, "--set", setting)


def test_an_entry_point_added_later_is_missed(machine: Machine) -> None:
    pyproject = machine.home / "tp-own-norm" / "pyproject.toml"
    text = pyproject.read_text()
    line = 'own_norm = "tp_own_norm"'
    pyproject.write_text(text.replace(line, f'{line}\nmore = "tp_own_norm"'))
    done = machine.run("tp", "plugins", "check", "tp-own-norm", code=1)
    pyproject.write_text(text)
    assert f"{pyproject}: entry point more" in done.stdout
    assert f"reinstall: pip install -e {pyproject.parent}" in done.stdout
