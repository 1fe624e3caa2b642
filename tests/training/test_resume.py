"""A training that is killed and resumed leaves what one that was left alone leaves."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import TP, assert_same_tensors, lines, train, weights, write_config

from tp_core.cli import main
from tp_core.runs import RunDir

HOLD = Path(__file__).parent / "distributions" / "tp-hold"
# Everything a resume could get wrong: dropout in both places, slices, samples, a short last batch.
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
class Training:
    """A `tp train` in a process of its own, held at a step."""

    folder: Path
    run: RunDir
    process: subprocess.Popen[str]

    def wait(self, what: Path) -> None:
        while not what.exists():
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.005)

    def stop(self, number: int) -> tuple[int, str]:
        """Its exit code and stderr after a signal."""
        self.process.send_signal(number)
        (self.folder / "release").touch()
        _, err = self.process.communicate()
        return self.process.returncode, err


def start(folder: Path, step: int) -> Training:
    config = write_config(folder, CHANGES)
    environment = {
        **os.environ,
        "PYTHONPATH": str(HOLD),
        "OMP_NUM_THREADS": "1",
        "TP_TEST_HOLD": f"{folder}@{step}",
    }
    process = subprocess.Popen(
        [*TP, "train", "--config", str(config), "--run-id", "r"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return Training(folder, RunDir(folder / "runs" / "r"), process)


@dataclass
class Outcome:
    """What a held training was like, and how it ended."""

    run: RunDir
    steps_seen: int
    locked_out: int
    code: int
    err: str


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
    """Four trainings at once: killed after a checkpoint, and before any, and asked to stop."""
    plans = {
        "killed": (11, signal.SIGKILL),
        "killed early": (2, signal.SIGKILL),
        "interrupted": (6, signal.SIGINT),
        "terminated": (6, signal.SIGTERM),
    }
    running: dict[str, Training] = {}
    try:
        for name, (step, _) in plans.items():
            running[name] = start(tmp_path_factory.mktemp("stopped"), step)
        outcomes = {}
        for name, (_, number) in plans.items():
            training = running[name]
            training.wait(training.folder / "held")
            seen = lines(training.run.metrics_path)[-1]["step"]
            locked_out = main(
                ["train", "--resume", "r", "--runs-dir", str(training.run.path.parent)]
            )
            code, err = training.stop(number)
            outcomes[name] = Outcome(training.run, seen, locked_out, code, err)
        yield outcomes
    finally:
        for training in running.values():
            training.process.kill()
            training.process.communicate()


@pytest.fixture
def copied(stopped: dict[str, Outcome], tmp_path: Path) -> Any:
    """A copy of a stopped run, to be resumed or spoilt."""

    def copy(name: str) -> RunDir:
        return RunDir(Path(shutil.copytree(stopped[name].run.path, tmp_path / "runs" / "r")))

    return copy


def resume(run: RunDir, *more: str) -> int:
    return main(["train", "--resume", run.id, "--runs-dir", str(run.path.parent), *more])


def assert_same_run(run: RunDir, whole: RunDir) -> None:
    assert lines(run.metrics_path) == lines(whole.metrics_path)
    assert run.samples_path.read_bytes() == whole.samples_path.read_bytes()
    for path in ("last_path", "best_val_path"):
        assert_same_tensors(weights(getattr(run, path)), weights(getattr(whole, path)))
    a, b = (torch.load(r.last_path, weights_only=True)["optimizer"]["state"] for r in (run, whole))
    for index, state in a.items():
        assert_same_tensors(state, b[index])


def test_the_whole_run_is_what_it_should_be(whole: RunDir) -> None:
    records = lines(whole.metrics_path)
    assert [r["step"] for r in records if r["split"] == "batch"] == list(range(1, STEPS + 1))
    assert [r["step"] for r in records if r["split"] == "val"] == [0, 3, 6, 9, 12, 15, 16]
    assert sorted({s["step"] for s in lines(whole.samples_path)}) == [5, 10, 15, 16]


def test_killed_after_a_checkpoint_and_resumed_in_a_new_process(
    stopped: dict[str, Outcome], copied: Any, whole: RunDir
) -> None:
    outcome = stopped["killed"]
    assert outcome.code == -signal.SIGKILL
    assert outcome.steps_seen > 8  # beyond the checkpoint, so that there is something to cut back
    run = copied("killed")
    done = subprocess.run(
        [*TP, "train", "--resume", "r", "--runs-dir", str(run.path.parent)],
        env={**os.environ, "PYTHONPATH": str(HOLD), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "r\n"), done.stderr
    assert "from step 8" in done.stderr
    assert_same_run(run, whole)


def test_killed_before_any_checkpoint(
    stopped: dict[str, Outcome], copied: Any, whole: RunDir
) -> None:
    assert stopped["killed early"].code == -signal.SIGKILL
    run = copied("killed early")
    assert not run.last_path.exists()
    assert resume(run) == 0
    assert_same_run(run, whole)


@pytest.mark.parametrize(("name", "code"), [("interrupted", 130), ("terminated", 143)])
def test_asked_to_stop(
    name: str,
    code: int,
    stopped: dict[str, Outcome],
    copied: Any,
    whole: RunDir,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcome = stopped[name]
    assert outcome.code == code
    assert "Traceback" not in outcome.err
    run = copied(name)
    assert weights(run.last_path)  # a checkpoint where none was due
    assert '"interrupted"' in run.summary_path.read_text()
    assert lines(run.metrics_path)[-1]["step"] == 7
    command = outcome.err.rpartition("go on with: ")[2].strip()
    assert command == "tp train --resume r"
    monkeypatch.chdir(run.path.parents[1])
    assert main(shlex.split(command)[1:]) == 0
    assert_same_run(run, whole)


def test_a_run_in_training_is_locked(stopped: dict[str, Outcome]) -> None:
    assert [outcome.locked_out for outcome in stopped.values()] == [2, 2, 2, 2]


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
    assert "has changed since run 'r' began" in capsys.readouterr().err
    assert run.metrics_path.read_bytes() == before


def test_a_complete_run_is_refused(
    whole: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDir(Path(shutil.copytree(whole.path, tmp_path / "r")))
    before = {p: p.read_bytes() for p in run.path.rglob("*.json*")}
    assert resume(run) == 2
    assert "complete" in capsys.readouterr().err
    run.last_path.unlink()  # the space it took may be wanted
    run.previous_path.unlink()
    assert resume(run) == 2
    assert {p: p.read_bytes() for p in run.path.rglob("*.json*")} == before


def test_killed_before_its_summary(
    whole: RunDir, tmp_path: Path, hold_installed: None
) -> None:
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
    run.config_path.write_text(run.config_path.read_text().replace("swiglu", "gelu"))
    assert resume(run) == 2
    err = capsys.readouterr().err
    assert "doesn't fit" in err
    assert "blocks.0.mlp" in err  # torch's own first line says nothing


@pytest.mark.parametrize(
    "more", [("--set", "train.max_steps=99"), ("--config", "x.toml"), ("--run-id", "x")]
)
def test_resume_takes_the_runs_own_config(more: tuple[str, ...]) -> None:
    assert main(["train", "--resume", "latest", *more]) == 2
