"""A training that is killed and resumed leaves what one that was left alone leaves."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from held_trainings import HOLD, resume, start
from tiny_runs import (
    TP,
    assert_same_run,
    lines,
    python_path,
    train,
    write_config,
)

from tp_core.cli import main
from tp_core.interfaces import SplitLosses
from tp_core.runs.directory import RunDir
from tp_core.training import trainer
from tp_core.training.session import Session

# All a resume could get wrong: dropout in both places, micro-batches, samples, a short batch.
CHANGES: dict[str, Any] = {
    "model.dropout": 0.2,
    "model.attention": {"name": "softmax", "dropout": 0.2, "n_kv_heads": 1},
    "train.max_steps": 16,
    "train.grad_accumulation": 2,
    "train.schedule": "hold",
    "train.eval_interval": 3,
    "train.sample_interval": 5,
    "train.checkpoint_interval": 4,
}
STEPS = 16


@dataclass
class Outcome:
    """What a stopped training left, and how it ended."""

    run: RunDir
    code: int
    err: str
    locked_out: int = 2


@pytest.fixture(scope="module")
def hold_installed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HOLD))
        patch.delenv("TP_TEST_HOLD", raising=False)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, hold_installed: None) -> RunDir:
    return train(tmp_path_factory.mktemp("whole"), "r", changes=CHANGES)


@pytest.fixture(scope="module")
def stopped(
    tmp_path_factory: pytest.TempPathFactory, hold_installed: None
) -> Iterator[dict[str, Outcome]]:
    """Two trainings at once, one killed and one asked to stop."""
    killed = start(tmp_path_factory.mktemp("killed"), 2, 11, changes=CHANGES)
    interrupted = start(tmp_path_factory.mktemp("interrupted"), 6, changes=CHANGES)
    try:
        killed.held_at(2)
        # What a kill here would leave: nothing that is written waits in the process.
        early = Path(shutil.copytree(killed.run.path, killed.folder / "early" / "r"))
        killed.release(2)
        killed.held_at(11)
        locked_out = resume(killed.run)
        killed.process.send_signal(signal.SIGKILL)
        code, err = killed.ended()
        interrupted.held_at(6)
        interrupted.process.send_signal(signal.SIGINT)
        interrupted.release(6)
        yield {
            "killed": Outcome(killed.run, code, err, locked_out),
            "killed early": Outcome(RunDir(early), code, err),
            "interrupted": Outcome(interrupted.run, *interrupted.ended()),
        }
    finally:
        for training in (killed, interrupted):
            training.process.kill()
            training.process.communicate()


@pytest.fixture
def copied(stopped: dict[str, Outcome], tmp_path: Path) -> Any:
    """A copy of a stopped run, to be resumed or spoilt."""

    def copy(name: str) -> RunDir:
        return RunDir(Path(shutil.copytree(stopped[name].run.path, tmp_path / "runs" / "r")))

    return copy


def test_the_whole_run_is_what_it_should_be(whole: RunDir) -> None:
    records = lines(whole.metrics_path)
    assert [r["step"] for r in records if r["split"] == "batch"] == list(range(1, STEPS + 1))
    assert [r["step"] for r in records if r["split"] == "val"] == [0, 3, 6, 9, 12, 15, 16]
    assert sorted({s["step"] for s in lines(whole.samples_path)}) == [5, 10, 15, 16]


def test_killed_after_a_checkpoint_and_resumed_in_a_new_process(
    stopped: dict[str, Outcome], copied: Any, whole: RunDir
) -> None:
    assert stopped["killed"].code == -signal.SIGKILL
    run = copied("killed")
    assert lines(run.metrics_path)[-1]["step"] == 11  # 8 is in the checkpoint: there is some to cut
    done = subprocess.run(
        [*TP, "train", "--resume", "r", "--runs-dir", str(run.path.parent)],
        env={**os.environ, "PYTHONPATH": python_path(HOLD), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "r\n"), done.stderr
    assert "from step 8" in done.stderr
    assert_same_run(run, whole)


def test_killed_in_every_layout(tmp_path: Path, hold_installed: None) -> None:
    """Rows of another layout are a function of the step, too."""
    layouts = {
        name: {**CHANGES, "data.layout": name, "train.batch_size": 6} for name in ("packed", "text")
    }
    trainings = {
        name: start(tmp_path / name / "killed", 11, changes=changes)
        for name, changes in layouts.items()
    }
    try:
        for name, changes in layouts.items():
            whole = train(tmp_path / name / "whole", "r", changes=changes)
            epochs = [line["epoch"] for line in lines(whole.metrics_path)]
            assert epochs[-1] > 2  # it went through the data more than once
            killed = trainings[name]
            killed.held_at(11)
            killed.process.send_signal(signal.SIGKILL)
            assert killed.ended()[0] == -signal.SIGKILL
            assert resume(killed.run) == 0
            assert_same_run(killed.run, whole)
    finally:
        for training in trainings.values():
            training.process.kill()
            training.process.communicate()


def test_killed_before_any_checkpoint(copied: Any, whole: RunDir) -> None:
    run = copied("killed early")
    assert not run.last_path.exists()
    assert lines(run.metrics_path)[-1]["step"] == 2
    assert resume(run) == 0
    assert_same_run(run, whole)


def test_a_run_in_training_is_locked(stopped: dict[str, Outcome]) -> None:
    assert stopped["killed"].locked_out == 2


def assert_stopped_cleanly(run: RunDir, err: str) -> list[str]:
    """The resume command it printed, once all that it should have left is seen to be there."""
    assert "Traceback" not in err
    kept = torch.load(run.last_path, weights_only=True)["state"]
    assert json.loads(kept)["step"] == 7  # where no checkpoint was due
    assert '"interrupted"' in run.summary_path.read_text()
    assert lines(run.metrics_path)[-1]["step"] == 7
    return shlex.split(err.rpartition("resume with: ")[2].strip())


def test_interrupted(
    stopped: dict[str, Outcome], copied: Any, whole: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, run = stopped["interrupted"], copied("interrupted")
    assert outcome.code == 130
    command = assert_stopped_cleanly(run, outcome.err)
    assert command == ["tp", "train", "--resume", "r"]
    monkeypatch.chdir(run.path.parents[1])
    assert main(command[1:]) == 0
    assert_same_run(run, whole)


def test_terminated(
    tmp_path: Path,
    hold_installed: None,
    whole: RunDir,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = tmp_path / "runs of mine"
    config = write_config(tmp_path, CHANGES)
    monkeypatch.setenv("TP_TEST_SIGNAL", f"{int(signal.SIGTERM)}@6")
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        main(["train", "--config", str(config), "--run-id", "r", "--runs-dir", str(runs)])
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before
    run = RunDir(runs / "r")
    command = assert_stopped_cleanly(run, capsys.readouterr().err)
    monkeypatch.delenv("TP_TEST_SIGNAL")
    assert main(command[1:]) == 0
    assert_same_run(run, whole)


def test_interrupted_in_the_first_evaluation(
    tmp_path: Path,
    hold_installed: None,
    whole: RunDir,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The evaluation of step 0 is done and written, once, however the training goes on."""
    config = write_config(tmp_path, CHANGES)
    measure = trainer.measure_losses

    def measure_and_stop(*args: Any) -> SplitLosses:
        monkeypatch.setattr(trainer, "measure_losses", measure)
        signal.raise_signal(signal.SIGINT)
        return measure(*args)

    monkeypatch.setattr(trainer, "measure_losses", measure_and_stop)
    with pytest.raises(SystemExit) as caught:
        main(["train", "--config", str(config), "--run-id", "r", "--runs-dir", str(tmp_path)])
    assert caught.value.code == 130
    run = RunDir(tmp_path / "r")
    assert resume(run) == 0
    assert_same_run(run, whole)


def test_a_second_interrupt_stops_at_once(
    tmp_path: Path,
    hold_installed: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = write_config(tmp_path, CHANGES)

    save = Session.save

    def impatient(session: Session, *, best: bool = False) -> None:
        if session.state.step == 6:
            signal.raise_signal(signal.SIGINT)
        save(session, best=best)

    monkeypatch.setattr(Session, "save", impatient)
    monkeypatch.setenv("TP_TEST_SIGNAL", f"{int(signal.SIGINT)}@5")
    with pytest.raises(SystemExit) as caught:
        main(["train", "--config", str(config), "--run-id", "r", "--runs-dir", str(tmp_path)])
    assert caught.value.code == 130
    assert "tp train --resume r" in capsys.readouterr().err


def test_a_damaged_checkpoint_gives_way_to_the_one_before(copied: Any, whole: RunDir) -> None:
    run = copied("killed")
    data = bytearray(run.last_path.read_bytes())
    data[len(data) // 2] ^= 1
    run.last_path.write_bytes(data)
    assert resume(run) == 0
    assert_same_run(run, whole)


def test_a_torn_last_line_is_cut_off(copied: Any, whole: RunDir) -> None:
    run = copied("killed")
    with run.metrics_path.open("ab") as file:
        file.write(b'{"step": 12, "tok')
    assert resume(run) == 0
    assert_same_run(run, whole)


def test_both_checkpoints_damaged(copied: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = copied("killed")
    for path in (run.last_path, run.previous_path):
        path.write_bytes(path.read_bytes()[:1000])
    before = run.metrics_path.read_bytes()
    assert resume(run) == 2
    assert "is damaged" in capsys.readouterr().err
    assert run.metrics_path.read_bytes() == before


def test_changed_data_is_refused(copied: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = copied("killed")
    config = run.config_path.read_text()
    text = run.path.parent / "other.txt"
    old = next(p for p in config.split('"') if p.endswith("phrases.txt"))
    text.write_text(Path(old).read_text() + "one more phrase\n")
    run.config_path.write_text(config.replace(old, str(text)))
    before = run.metrics_path.read_bytes()
    assert resume(run) == 2
    assert "has changed since run 'r' started" in capsys.readouterr().err
    assert run.metrics_path.read_bytes() == before


def test_a_complete_run_is_refused(
    whole: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDir(Path(shutil.copytree(whole.path, tmp_path / "r")))
    before = {p: p.read_bytes() for p in run.path.rglob("*.json*")}
    assert resume(run) == 2
    assert "is finished" in capsys.readouterr().err
    run.last_path.unlink()  # the space it took may be wanted
    run.previous_path.unlink()
    assert resume(run) == 2
    assert {p: p.read_bytes() for p in run.path.rglob("*.json*")} == before


def test_killed_before_its_summary(whole: RunDir, tmp_path: Path, hold_installed: None) -> None:
    run = RunDir(Path(shutil.copytree(whole.path, tmp_path / "r")))
    summary = run.summary_path.read_text()
    run.summary_path.unlink()
    assert resume(run) == 0
    assert_same_run(run, whole)
    without = [s.partition('"perf"')[0] for s in (run.summary_path.read_text(), summary)]
    assert without[0] == without[1]


def test_stopped_before_it_began(copied: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = copied("killed early")
    run.config_path.unlink()
    assert resume(run) == 2
    assert "has no config.json" in capsys.readouterr().err


def test_a_checkpoint_of_another_model(copied: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = copied("killed")
    config = json.loads(run.config_path.read_text())
    config["model"]["mlp"] = {"name": "gelu"}
    run.config_path.write_text(json.dumps(config))
    assert resume(run) == 2
    err = capsys.readouterr().err
    assert "doesn't match the model" in err
    assert "blocks.0.mlp" in err  # torch's own first line says nothing


@pytest.mark.parametrize(
    "more", [("--set", "train.max_steps=99"), ("--config", "x.toml"), ("--run-id", "x")]
)
def test_resume_takes_the_runs_own_config(more: tuple[str, ...]) -> None:
    assert main(["train", "--resume", "latest", *more]) == 2
