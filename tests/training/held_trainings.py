"""Trainings in processes of their own that wait at steps of a test's choosing, to be killed."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiny_runs import TP, python_path, write_config

from tp_core.cli import main
from tp_core.runs.directory import RunDir

HOLD = Path(__file__).parent / "distributions" / "tp-hold"


@dataclass
class Training:
    """A `tp train` in a process of its own that waits at each of some steps."""

    folder: Path
    run: RunDir
    process: subprocess.Popen[str]

    def held_at(self, step: int) -> None:
        """Wait until it is there."""
        while not (self.folder / f"held-{step}").exists():
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.005)

    def release(self, step: int) -> None:
        (self.folder / f"release-{step}").touch()

    def ended(self) -> tuple[int, str]:
        """Its exit code and stderr."""
        _, err = self.process.communicate()
        return self.process.returncode, err


def start(folder: Path, *steps: int, changes: dict[str, Any]) -> Training:
    config = write_config(folder, changes)
    environment = {
        **os.environ,
        "PYTHONPATH": python_path(HOLD),
        "OMP_NUM_THREADS": "1",
        "TP_TEST_HOLD": f"{folder}@{','.join(map(str, steps))}",
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


def resume(run: RunDir, *more: str) -> int:
    return main(["train", "--resume", run.id, "--runs-dir", str(run.path.parent), *more])
