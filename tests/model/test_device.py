"""What the system says of itself, and what is done where it doesn't."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from tp_core.model.device import peak_memory_mib

CPU = torch.device("cpu")


def test_peak_memory_is_unknown_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)  # importing it fails
    assert peak_memory_mib(CPU) is None


@pytest.mark.parametrize(("platform", "peak"), [("linux", 3 * 2**10), ("darwin", 3 * 2**20)])
def test_peak_memory_is_counted_in_the_systems_units(
    platform: str, peak: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux counts kibibytes, macOS bytes."""
    usage = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: SimpleNamespace(ru_maxrss=peak))
    monkeypatch.setitem(sys.modules, "resource", usage)
    monkeypatch.setattr(sys, "platform", platform)
    assert peak_memory_mib(CPU) == 3.0
