"""Running `tp` in the process of the tests, through its one entry point."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runner import Done, Run

from tp_core.cli import main


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # Unbuffered, a process has nothing left to write when it ends: what is tested would not happen.
    ours = ("TP_TRACEBACK", "TP_DISABLE_PLUGINS")
    for name in (*ours, "FORCE_COLOR", "NO_COLOR", "PYTHONPATH", "PYTHONUNBUFFERED"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tp(capsys: pytest.CaptureFixture[str], install: Callable[..., None]) -> Run:
    """`tp(*args, plugins=[...])`, with these fake distributions installed."""

    def run(*args: str | Path, plugins: tuple[str, ...] = ()) -> Done:
        install(*plugins)
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        return Done(code, *capsys.readouterr())

    return run
