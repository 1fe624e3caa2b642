"""Opening runs and exports from Python, and `tp export`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import assert_same_tensors, train, weights

import tp_core
from tp_core.cli import main
from tp_core.errors import TpError
from tp_core.files import read_json, write_json
from tp_core.interfaces import SequenceInfo
from tp_core.runs.directory import RunDir


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return train(tmp_path_factory.mktemp("export"), "one")


@pytest.fixture(scope="module")
def exported(run: RunDir, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "model"
    args = ["export", "one", "--runs-dir", str(run.path.parent), "--out", str(out)]
    assert main(args) == 0
    return out


def test_an_export_is_the_weights_the_config_and_the_tokenizer(run: RunDir, exported: Path) -> None:
    found = sorted(p.relative_to(exported).as_posix() for p in exported.rglob("*") if p.is_file())
    assert found == [
        "config.json",
        "model.safetensors",
        "provenance.json",
        "tokenizer/spm.model",
    ]
    stored = load_file(exported / "model.safetensors")
    expected = weights(run.best_val_path)
    assert_same_tensors(expected, {name: stored.pop(name) for name in expected})
    assert not stored
    assert read_json(exported / "config.json") == read_json(run.config_path)


def test_a_run_and_its_export_open_alike(run: RunDir, exported: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = [tp_core.load_run(run.path), tp_core.load_run(str(exported))]
    tokens = torch.tensor([[opened[0].tokenizer.bos_id, *opened[0].tokenizer.encode("the fox")]])
    seq = SequenceInfo.of_rows(torch.tensor([tokens.shape[1]]), tokens.shape[1])
    with torch.no_grad():
        first, second = (one.model(tokens, seq)[0] for one in opened)
    assert torch.equal(first, second)
    assert not opened[1].model.training
    assert opened[0].step == opened[1].step
    assert opened[1].config.model.d_model == 16
    assert opened[1].tokenizer.decode(opened[1].tokenizer.encode("naïve fox")) == "naïve fox"


def test_checkpoints_are_told_apart(run: RunDir) -> None:
    last = tp_core.load_run(run.path, "last")
    assert last.step == 4
    assert_same_tensors(weights(run.last_path), dict(last.model.state_dict()))


def test_importing_the_package_imports_no_torch() -> None:
    code = (
        "import sys, tp_core; assert 'load_run' in tp_core.__all__; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.fixture
def drifted(run: RunDir, tmp_path: Path) -> Path:
    copy = tmp_path / "runs" / "one"
    shutil.copytree(run.path, copy)
    provenance = read_json(copy / "provenance.json")
    for component in provenance["components"]:
        component["version"] = "0.0.1"
    write_json(copy / "provenance.json", provenance)
    return copy


def test_other_plugins_than_in_training_are_warned_of(drifted: Path) -> None:
    with pytest.warns(UserWarning, match="trained with transformer-playground 0.0.1") as caught:
        tp_core.load_run(drifted)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.raises(TpError, match=r"0\.0\.1"):
        tp_core.load_run(drifted, strict_plugins=True)


@pytest.mark.parametrize(
    "command",
    [
        ["generate", "--run-id", "one", "--unconditional"],
        ["compare", "--run-ids", "one,two", "--unconditional"],
        ["report", "--run-id", "one", "--unconditional", "--n-samples", "2"],
        ["export", "one", "--out", "OUT"],
    ],
    ids=lambda command: command[0],
)
def test_commands_warn_of_other_plugins_or_refuse_them(
    drifted: Path, tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(drifted, drifted.parent / "two")
    args = [str(tmp_path / "out") if arg == "OUT" else arg for arg in command]
    args += ["--runs-dir", str(drifted.parent)]
    assert main([*args, "--strict-plugins"]) == 2
    refused = capsys.readouterr()
    assert "Error: run 'one' was trained with transformer-playground 0.0.1" in refused.err
    assert (refused.out, (tmp_path / "out").exists()) == ("", False)
    assert main(args) == 0
    warned = capsys.readouterr().err
    assert warned.count("Warning: run 'one' was trained with transformer-playground 0.0.1") == 1


def test_a_resume_warns_of_other_plugins(drifted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (drifted / "summary.json").unlink()
    assert main(["train", "--resume", "one", "--runs-dir", str(drifted.parent)]) == 0
    said = capsys.readouterr().err
    assert said.count("Warning: run 'one' was trained with transformer-playground 0.0.1") == 1
    assert "from step 0" not in said


def test_runs_show_says_how_to_get_its_plugins_again(
    drifted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provenance = read_json(drifted / "provenance.json")
    provenance["components"][0].update(distribution="tp-far", direct_url=None)
    write_json(drifted / "provenance.json", provenance)
    assert main(["runs", "show", "one", "--runs-dir", str(drifted.parent)]) == 0
    assert "  tp-far==0.0.1" in capsys.readouterr().out.splitlines()
    assert main(["runs", "show", "one", "--runs-dir", str(drifted.parent), "--json"]) == 0
    assert "tp-far==0.0.1" in json.loads(capsys.readouterr().out)["requirements"]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TpError, match="no such directory"):
        tp_core.load_run(tmp_path / "none")
    with pytest.raises(TpError, match="no checkpoint"):
        tp_core.load_run(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "foreign", "of another model"])
def test_a_damaged_export_is_refused(exported: Path, tmp_path: Path, damage: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    file = copy / "model.safetensors"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "foreign":
        from safetensors.torch import save_file

        save_file({"x": torch.zeros(2)}, file)
    else:
        config = read_json(copy / "config.json")
        config["model"]["d_model"] = 32
        write_json(copy / "config.json", config)
    with pytest.raises(TpError, match=r"model\.safetensors"):
        tp_core.load_run(copy)


def test_export_overwrites_nothing(
    run: RunDir, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(exported.parent.iterdir())
    args = ["export", "one", "--runs-dir", str(run.path.parent), "--out", str(exported)]
    assert main(args) == 2
    assert "exists" in capsys.readouterr().err
    assert main([*args[:-1], str(exported / "config.json" / "below")]) == 1
    assert sorted(exported.parent.iterdir()) == before
