"""Training from Python gives what the command gives, and says no more than it is asked."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_runs import CONFIG, TP, assert_same_run, lines, split, train, weights, write_config

import tp_core
from tp_core.cli import main
from tp_core.config.plan import load_plan
from tp_core.errors import ConfigError, TpError
from tp_core.runs.directory import RunDir

CHANGES: dict[str, Any] = {"model.dropout": 0.2, "train.callbacks": ["ema"]}


@pytest.fixture(scope="module")
def by_command(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """The same training by `tp train`, in a process of its own."""
    folder = tmp_path_factory.mktemp("command")
    config = write_config(folder, CHANGES)
    done = subprocess.run(
        [*TP, "train", "--config", str(config), "--runs-dir", str(folder), "--run-id", "r"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "r\n"), done.stderr
    return RunDir(folder / "r")


def as_dict(config: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(config.read_text())
    return data


@pytest.mark.parametrize("form", [Path, str, as_dict, load_plan])
def test_every_form_of_a_config_gives_what_the_command_gives(
    form: Any, by_command: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = form(write_config(tmp_path, CHANGES))
    before = copy.deepcopy(given) if isinstance(given, dict) else None
    run = tp_core.train(given, runs_dir=tmp_path / "runs", run_id="mine")
    assert capsys.readouterr() == ("", "")
    assert (run.id, run.path) == ("mine", tmp_path / "runs" / "mine")
    assert_same_run(RunDir(run.path), by_command)
    assert before is None or given == before


def test_one_training_after_another_in_one_process(by_command: RunDir, tmp_path: Path) -> None:
    other = write_config(tmp_path / "other", {"train.seed": 5, "train.optimizer": "muon"})
    same = write_config(tmp_path, CHANGES)
    for _ in range(2):
        first = tp_core.train(other, runs_dir=tmp_path / "runs")
        second = tp_core.train(same, runs_dir=tmp_path / "runs")
        assert first.id != second.id
        assert_same_run(RunDir(second.path), by_command)


def test_what_a_run_shows(by_command: RunDir, tmp_path: Path) -> None:
    run = tp_core.Run(by_command.path)
    metrics = run.metrics()
    assert list(metrics) == ["train", "val", "train_ema", "val_ema", "batch"]
    np.testing.assert_array_equal(metrics["batch"]["step"], [1, 2, 3, 4])
    np.testing.assert_array_equal(
        metrics["val"]["loss"], [line["loss"] for line in split(by_command, "val")]
    )
    assert metrics["batch"]["perf.seconds"].min() > 0
    assert metrics["batch"]["loss"].dtype == np.float64
    assert run.samples() == lines(by_command.samples_path)
    assert run.summary["status"] == "finished"
    assert run.summary["last_val"]["loss"] == metrics["val"]["loss"][-1]
    assert run.config["train"]["callbacks"] == [{"name": "ema", "decay": 0.999}]
    kept = weights(by_command.checkpoints_dir / "ema.pt")
    for name, parameter in run.load("ema").model.named_parameters():
        assert parameter.equal(kept[name])
    with pytest.raises(TpError, match="no checkpoint 'emma'; available: best_val, ema, last"):
        run.load("emma")
    assert repr(run) == f"<Run {by_command.path}>"


def test_a_run_whose_directory_is_gone(by_command: RunDir, tmp_path: Path) -> None:
    place = Path(shutil.copytree(by_command.path, tmp_path / "r"))
    run = tp_core.Run(place)
    shutil.rmtree(place)
    for ask in (run.metrics, run.load, lambda: run.summary, lambda: run.config):
        with pytest.raises(TpError):
            ask()
    with pytest.raises(TpError, match="no such directory"):
        tp_core.Run(place)


def test_a_taken_id(by_command: RunDir, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in by_command.path.rglob("*")}
    with pytest.raises(TpError, match=r"run_id 'r': .* already exists"):
        tp_core.train(config, runs_dir=by_command.path.parent, run_id="r")
    with pytest.raises(TpError, match="is not a valid run id"):
        tp_core.train(config, runs_dir=tmp_path, run_id="../r")
    assert {p: p.stat().st_mtime_ns for p in by_command.path.rglob("*")} == before


def test_a_wrong_config_is_told_as_the_command_tells_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, {"train.max_stepz": 4, "model.norm": "rmsnrom"})
    runs = tmp_path / "runs"
    assert main(["train", "--config", str(config), "--runs-dir", str(runs)]) == 2
    said = capsys.readouterr().err
    with pytest.raises(ConfigError) as caught:
        tp_core.train(config, runs_dir=runs)
    assert said == f"Error: 2 problems in the config:\n{caught.value}\n"
    with pytest.raises(ConfigError) as caught:
        tp_core.train(as_dict(config), runs_dir=runs)
    for words in ("max_stepz", "max_steps", "rmsnrom", "rmsnorm"):
        assert words in str(caught.value)
    assert not runs.exists()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "specify a config to train or a run to resume"),
        ({"resume": "r", "config": CONFIG}, "can't be combined with config or run_id"),
        ({"resume": "r", "run_id": "x"}, "can't be combined with config or run_id"),
        ({"resume": "nothing"}, "no run 'nothing'"),
        ({"resume": "r"}, "run 'r' is finished: nothing to resume"),
        ({"resume": "latest"}, "run 'r' is finished: nothing to resume"),
    ],
)
def test_what_is_refused(
    arguments: dict[str, Any], message: str, by_command: RunDir, tmp_path: Path
) -> None:
    shutil.copytree(by_command.path, tmp_path / "r")
    with pytest.raises(TpError, match=message):
        tp_core.train(runs_dir=tmp_path, **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_resumed_from_python(by_command: RunDir, tmp_path: Path) -> None:
    """At the checkpoint of step 2, as a kill after it leaves the run."""
    run = RunDir(Path(shutil.copytree(by_command.path, tmp_path / "r")))
    run.summary_path.unlink()
    shutil.copy(run.previous_path, run.last_path)
    again = tp_core.train(runs_dir=tmp_path, resume="latest")
    assert again.id == "r"
    assert_same_run(run, by_command)
    assert again.summary["status"] == "finished"


def test_the_command_leaves_nothing_behind(tmp_path: Path, by_command: RunDir) -> None:
    """In one process, a command and a function don't disturb each other."""
    train(tmp_path / "a", "r", changes={"train.callbacks": [{"name": "health", "every": 1}]})
    run = tp_core.train(write_config(tmp_path, CHANGES), runs_dir=tmp_path / "runs")
    assert_same_run(RunDir(run.path), by_command)
