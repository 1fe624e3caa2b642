"""Fake distributions for whatever looks plugins up: `tests/distributions/NAME`, put on the path."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Tests run side by side: threads of one would only wait for those of another. Set before torch is.
os.environ.setdefault("OMP_NUM_THREADS", "1")

DISTRIBUTIONS = Path(__file__).parent / "distributions"


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """`install("tp-good", path, ...)`, in that order; their modules go when the test ends."""
    monkeypatch.setenv("TP_TEST_MARKER", str(tmp_path / "marker"))

    def put(*places: str | Path) -> None:
        for place in reversed(places):
            monkeypatch.syspath_prepend(str(DISTRIBUTIONS / place))

    yield put
    roots = (str(DISTRIBUTIONS), str(tmp_path))
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "") or "").startswith(roots):
            del sys.modules[name]
    importlib.invalidate_caches()
