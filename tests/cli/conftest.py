"""Running `tp` in this process, where that is the same, and in one of its own, where it isn't."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tp_core.cli import main

DISTRIBUTIONS = Path(__file__).parents[1] / "distributions"
TP = [sys.executable, "-c", "import sys; from tp_core.cli import main; sys.exit(main())"]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TP_TRACEBACK", "TP_DISABLE_PLUGINS", "FORCE_COLOR", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tp(capsys: pytest.CaptureFixture[str]) -> Run:
    """`tp(*args)` in this process, through the one entry point there is."""

    def run(*args: str | Path) -> Done:
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def tp_process(tmp_path: Path) -> Run:
    """`tp(*args, plugins=[...])` in a process of its own, with these distributions installed."""

    def run(*args: str | Path, plugins: tuple[str, ...] = (), **environment: str) -> Done:
        places = os.pathsep.join(str(DISTRIBUTIONS / name) for name in plugins)
        done = subprocess.run(
            [*TP, *map(str, args)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": places, **environment},
            capture_output=True,
            text=True,
            encoding=environment.get("PYTHONIOENCODING", "utf-8"),
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run
