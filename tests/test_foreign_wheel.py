"""Someone else's package from source to uninstalled.

Built, installed in a virtual environment of its own beside tp's wheel, listed, tested by the kit,
trained with, generated from, removed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from machine import Machine, build

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
QUICK = [
    *("--set", "train.max_steps=6", "--set", "train.schedule.warmup=2"),
    *("--set", "model.d_model=32", "--set", "model.n_layers=2", "--set", "eval.max_lines=50"),
    *("--set", "model.positional_encoding=none"),
]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    into = tmp_path_factory.mktemp("wheels")
    examples = [EXAMPLES / name for name in ("tp-ema", "tp-toolbox", "tp-trackio")]
    return tuple(build(at, into) for at in (ROOT, *examples))


def test_a_package_lives_and_leaves(wheels: tuple[Path, ...], tmp_path: Path) -> None:
    tp_wheel, ema_wheel, *_ = wheels
    machine = Machine(tmp_path)
    machine.run("pip", "install", "--no-deps", "--no-index", tp_wheel)
    machine.run("tp", "init", "here")
    config = Path("here/config.toml")
    start = ("train", "--config", config, "--set", "data.path=here/phrases.txt", *QUICK)

    missing = machine.run("tp", *start, "--set", "model.attention=ema", code=2)
    assert "no attention 'ema'" in missing.stderr
    missing = machine.run("tp", *start, "--set", "model.attention=tp-ema:ema", code=2)
    assert "pip install tp-ema" in missing.stderr
    assert not (tmp_path / "runs").exists()

    machine.run("pip", "install", "--no-deps", "--no-index", ema_wheel)
    rows = json.loads(machine.run("tp", "plugins", "list", "--json").stdout)["components"]
    (row,) = [row for row in rows if row["distribution"] == "tp-ema"]
    assert (row["kind"], row["name"], row["status"]) == ("attention", "ema", "ok")
    assert "slowest" in machine.run("tp", "plugins", "show", "ema").stdout

    report = json.loads(machine.run("tp", "plugins", "test", "tp-ema", "--json").stdout)
    outcomes = [result["status"] for result in report["results"]]
    assert outcomes.count("passed") > 20
    assert "failed" not in outcomes

    for run_id, name in (("bare", "ema"), ("qualified", "tp-ema:ema")):
        machine.run("tp", *start, "--run-id", run_id, "--set", f"model.attention={name}")
    runs = [tmp_path / "runs" / run_id for run_id in ("bare", "qualified")]
    bare, qualified = (
        [json.loads(line) | {"perf": None} for line in (run / "metrics.jsonl").open()]
        for run in runs
    )
    assert bare == qualified
    stored = json.loads((runs[0] / "config.json").read_text())["model"]["attention"]
    assert stored["name"] == "tp-ema:ema"
    provenance = json.loads((runs[0] / "provenance.json").read_text())
    (record,) = [c for c in provenance["components"] if c["distribution"] == "tp-ema"]
    assert record["version"] == "0.1.0"
    assert len(record["source_sha256"]) == 64
    assert provenance["causality_probe"] == "no leak"
    said = machine.run("tp", "generate", "--run-id", "bare", "--prompt", "the", "--seed", "3")
    assert said.stdout.startswith("the")

    machine.run("pip", "uninstall", "--yes", "tp-ema")
    for command in (
        ("generate", "--run-id", "bare", "--unconditional"),
        ("train", "--resume", "bare"),
    ):
        assert "pip install 'tp-ema @ file://" in machine.run("tp", *command, code=2).stderr
    assert "tp-ema" not in machine.run("tp", "plugins", "list").stdout
    assert "bare" in machine.run("tp", "runs", "list").stdout


def test_one_package_brings_several_kinds(wheels: tuple[Path, ...], tmp_path: Path) -> None:
    tp_wheel, _, toolbox_wheel, _ = wheels
    machine = Machine(tmp_path)
    machine.run("pip", "install", "--no-deps", "--no-index", tp_wheel, toolbox_wheel)
    machine.run("tp", "init", "here")
    rows = json.loads(machine.run("tp", "plugins", "list", "--json").stdout)["components"]
    found = [(row["kind"], row["name"]) for row in rows if row["distribution"] == "tp-toolbox"]
    assert found == [("norm", "partial_rms"), ("sampler", "eta"), ("metric", "openings")]
    machine.run("tp", "plugins", "check", "tp-toolbox")
    report = json.loads(machine.run("tp", "plugins", "test", "tp-toolbox", "--json").stdout)
    outcomes = [result["status"] for result in report["results"]]
    assert outcomes.count("passed") > 60
    assert "failed" not in outcomes

    own = ("--set", "model.norm=partial_rms", "--set", 'report.metrics=["openings"]')
    start = ("train", "--config", "here/config.toml", "--set", "data.path=here/phrases.txt")
    machine.run("tp", *start, *QUICK, *own, "--run-id", "one")
    metrics = json.loads((tmp_path / "runs/one/summary.json").read_text())["metrics"]
    assert 0 < metrics["tp-toolbox:openings"]["distinct_openings"] <= 1
    sampled = ("--run-id", "one", "--unconditional", "--sampler", "eta,epsilon=0.01")
    machine.run("tp", "generate", *sampled)
    said = machine.run("tp", "report", *sampled, "--n-samples", "20", "--metrics", "openings")
    assert "distinct_openings" in said.stdout
    shown = machine.run("tp", "runs", "show", "one").stdout
    assert "tp-toolbox @ file://" in shown

    machine.run("pip", "uninstall", "--yes", "tp-toolbox")
    gone = machine.run("tp", "generate", "--run-id", "one", "--unconditional", code=2)
    assert "pip install 'tp-toolbox @ file://" in gone.stderr


# What a training sends is written down instead, where it runs.
_TRACKIO = """
import json


def _note(*what):
    with open("sent.jsonl", "a") as file:
        file.write(json.dumps(what) + "\\n")


def init(**more):
    print("* greetings")
    _note("init", more["project"], more["name"])


def log(metrics, step=None):
    _note("log", step, metrics)


def finish():
    _note("finish")
"""


def test_a_callback_sends_what_it_hears(wheels: tuple[Path, ...], tmp_path: Path) -> None:
    tp_wheel, *_, trackio_wheel = wheels
    machine = Machine(tmp_path)
    machine.run("pip", "install", "--no-deps", "--no-index", tp_wheel, trackio_wheel)
    site = next(machine.env.glob("lib/python*/site-packages"), machine.env / "Lib/site-packages")
    (site / "trackio.py").write_text(_TRACKIO)
    machine.run("tp", "init", "here")
    machine.run("tp", "plugins", "check", "tp-trackio")
    report = json.loads(machine.run("tp", "plugins", "test", "tp-trackio", "--json").stdout)
    outcomes = [result["status"] for result in report["results"]]
    assert outcomes.count("passed") > 20
    assert "failed" not in outcomes

    (tmp_path / "sent.jsonl").unlink()
    start = ("train", "--config", "here/config.toml", "--set", "data.path=here/phrases.txt")
    own = ("--set", 'train.callbacks=[{name = "trackio", project = "mine", every = 3}]')
    done = machine.run("tp", *start, *QUICK, *own, "--run-id", "sent")
    assert done.stdout == "sent\n"  # its greetings are elsewhere
    sent = [json.loads(line) for line in (tmp_path / "sent.jsonl").open()]
    assert (sent[0], sent[-1]) == (["init", "mine", "sent"], ["finish"])
    lines = [json.loads(line) for line in (tmp_path / "runs/sent/metrics.jsonl").open()]
    losses = {(line["split"], line["step"]): line["loss"] for line in lines}
    told = {
        (key.partition("/")[0], step): value
        for _, step, metrics in sent[1:-1]
        for key, value in metrics.items()
        if key.endswith("/loss")
    }
    assert {step for split, step in told if split == "batch"} == {3, 6}
    assert told == {key: losses[key] for key in told}


def test_the_wheel_carries_what_init_writes_and_the_types(
    wheels: tuple[Path, ...],
) -> None:
    import zipfile

    names = set(zipfile.ZipFile(wheels[0]).namelist())
    wanted = {"tp_core/starter/phrases.txt", "tp_core/starter/default.toml", "tp_core/py.typed"}
    assert wanted <= names
    assert not [name for name in names if name.startswith(("tests", "docs", "benchmarks"))]
