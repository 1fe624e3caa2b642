"""Files replaced whole or not at all, and a run's small JSON files."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from tp_core.errors import RunFailed, TpError
from tp_core.files import (
    create_file,
    move,
    read_json,
    remove_leftovers,
    whole_file,
    write_json,
)


def test_json_keeps_order_and_ends_in_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    data = {"z": 1, "a": {"y": [1.5, None, True], "b": "é\udc80"}}
    write_json(path, data)
    text = path.read_text(encoding="utf-8")
    assert text.startswith('{\n  "z": 1,\n  "a": {\n    "y"')
    assert text.endswith("}\n")
    assert "é" in text
    assert read_json(path) == data
    assert list(read_json(path)) == ["z", "a"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, {1, 2}])
def test_what_json_cannot_say_leaves_the_old_file(tmp_path: Path, bad: object) -> None:
    path = tmp_path / "summary.json"
    write_json(path, {"step": 1})
    with pytest.raises((ValueError, TypeError)):
        write_json(path, {"step": 2, "loss": bad})
    assert read_json(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["os.fsync", "pathlib.Path.replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, where: str
) -> None:
    path = tmp_path / "summary.json"
    write_json(path, {"step": 1})

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(where, fail)
        with pytest.raises((RunFailed, KeyboardInterrupt)) as caught:
            write_json(path, {"step": 2})
    if isinstance(error, OSError):
        assert "summary.json: No space left on device" in str(caught.value)
    assert read_json(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"a": NaN}', b"\xff", b"[" * 100_000])
def test_damaged_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(TpError, match=r"config\.json is damaged"):
        read_json(path)


def test_missing_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(TpError, match=r"no such file: .*config\.json"):
        read_json(tmp_path / "config.json")
    with pytest.raises(TpError, match="cannot read"):
        read_json(tmp_path)


def test_new_files_are_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write_json(path, json.loads("{}"))
    plain = tmp_path / "plain"
    plain.write_text("")
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("links", [True, False])
def test_a_new_file_takes_no_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr("os.link", refuse)
    path = tmp_path / "report.json"
    create_file(path, b"first")
    with pytest.raises(FileExistsError):
        create_file(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "weights"

    def stop(file: BinaryIO) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:
        stop(file)
    assert list(tmp_path.iterdir()) == []
    with whole_file(path) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"


def test_leftovers_are_what_writers_leave(tmp_path: Path) -> None:
    kept = tmp_path / "kept.tmp"
    kept.write_bytes(b"")
    (tmp_path / ".summary.json.0123abcd.tmp").write_bytes(b"half")
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [kept]


# --- as on Windows ---


def test_directories_that_cannot_be_opened_need_no_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    write_json(tmp_path / "config.json", {"step": 1})
    assert read_json(tmp_path / "config.json") == {"step": 1}


@pytest.mark.parametrize("held", [3, 1000])
def test_a_file_that_is_being_read_is_replaced_soon_after(
    held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader keeps the target for `held` attempts."""
    attempts = 0
    replace = os.replace

    def refuse(source: Path, target: Path) -> None:
        nonlocal attempts
        attempts += 1
        if attempts <= held:
            raise PermissionError(13, "Permission denied", str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr("tp_core.files._ATTEMPTS", 20)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    new.write_text("new")
    if held == 3:
        move(new, old)
        assert (old.read_text(), attempts) == ("new", 4)
    else:
        with pytest.raises(PermissionError):
            move(new, old)
        assert (old.read_text(), new.read_text()) == ("old", "new")
