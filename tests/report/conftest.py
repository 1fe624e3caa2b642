"""One tiny run that the tests of reports share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_runs import train

from tp_core.data.dataset import Dataset
from tp_core.runs.data import open_run_data
from tp_core.runs.directory import RunDir
from tp_core.runs.opening import LoadedRun, open_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return train(tmp_path_factory.mktemp("report"), "mine")


@pytest.fixture(scope="module")
def loaded(run: RunDir) -> LoadedRun:
    return open_run(run)


@pytest.fixture(scope="module")
def dataset(loaded: LoadedRun) -> Dataset:
    return open_run_data(loaded)


@pytest.fixture
def folder(tmp_path: Path) -> RunDir:
    """A run directory with nothing in it."""
    (tmp_path / "mine").mkdir()
    return RunDir(tmp_path / "mine")
