"""Saved reports: whole or not at all, and none over another."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tp_core.errors import RunFailed
from tp_core.report.save import save
from tp_core.runs.directory import RunDir

REPORT: dict[str, Any] = {
    "schema_version": 1,
    "checkpoint": "last",
    "created": "2026-03-04T05:06:07+00:00",
    "samples": ["naïve \x1b[31m \udcff"],
}
NAME = "report-last-20260304-050607"


def test_two_in_one_second_both_survive(folder: RunDir) -> None:
    one, two, three = (save(folder, {**REPORT, "n": n})[0] for n in range(3))
    assert [path.name for path in (one, two, three)] == [
        f"{NAME}.json",
        f"{NAME}-2.json",
        f"{NAME}-3.json",
    ]
    assert [json.loads(path.read_text())["n"] for path in (one, two, three)] == [0, 1, 2]
    assert len(list(folder.reports_dir.iterdir())) == 3


def test_many_at_once(folder: RunDir) -> None:
    start = threading.Barrier(8)

    def work(n: int) -> None:
        start.wait()
        save(folder, {**REPORT, "n": n}, f"<p>{n}")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = sorted(folder.reports_dir.iterdir())
    assert len(files) == 16
    for path in files:
        if path.suffix == ".json":
            n = json.loads(path.read_text())["n"]
            assert path.with_suffix(".html").read_text() == f"<p>{n}"


def test_a_page_stands_beside_it_under_its_name(folder: RunDir) -> None:
    folder.reports_dir.mkdir()
    taken = folder.reports_dir / f"{NAME}.html"
    taken.write_text("mine")
    found = save(folder, REPORT, "<!doctype html>")
    assert [path.name for path in found] == [f"{NAME}-2.json", f"{NAME}-2.html"]
    assert found[1].read_text() == "<!doctype html>"
    assert taken.read_text() == "mine"
    assert not (folder.reports_dir / f"{NAME}.json").exists()


def test_without_links(folder: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that has none."""

    def refuse(*args: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    first, second = save(folder, REPORT)[0], save(folder, {**REPORT, "n": 1})[0]
    assert (first.name, second.name) == (f"{NAME}.json", f"{NAME}-2.json")
    assert "n" not in json.loads(first.read_text())
    assert json.loads(second.read_text())["n"] == 1
    assert len(list(folder.reports_dir.iterdir())) == 2


def test_nothing_half_written(folder: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFailed, match="No space left on device; --json prints it"):
        save(folder, REPORT)
    assert list(folder.reports_dir.iterdir()) == []


def test_nothing_that_is_no_json(folder: RunDir) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save(folder, {**REPORT, "n": float("nan")})
    assert not folder.reports_dir.exists()


def test_reports_is_a_file(folder: RunDir) -> None:
    Path(folder.reports_dir).write_text("")
    with pytest.raises(RunFailed, match="cannot write a report"):
        save(folder, REPORT)
