"""`tp init`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from cli_runner import Run

from tp_core.cli import init

REPOSITORY = Path(__file__).parents[2]


def test_init_writes_a_config_that_works_there(
    tp: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "deep" / "my play"
    done = tp("init", place)
    assert done.code == 0
    assert done.out == f"cd {shlex.quote(str(place))} && tp train --config config.toml\n"
    assert "phrases.txt" in done.err
    assert sorted(path.name for path in place.iterdir()) == ["config.toml", "phrases.txt"]
    starter = REPOSITORY / "configs" / "default.toml"
    assert (place / "config.toml").read_bytes() == starter.read_bytes()
    assert (place / "phrases.txt").read_bytes() == (REPOSITORY / "phrases.txt").read_bytes()
    monkeypatch.chdir(place)
    assert tp("config", "check", "config.toml").code == 0
    assert 'path = "phrases.txt"' in Path("config.toml").read_text(encoding="utf-8")


def test_init_here_needs_no_cd(tp: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert tp("init", ".").out == "tp train --config config.toml\n"
    assert (tmp_path / "config.toml").is_file()


@pytest.mark.parametrize("taken", ["config.toml", "phrases.txt"])
def test_init_overwrites_nothing(tp: Run, tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("mine")
    done = tp("init", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert f"{tmp_path / taken} already exists; nothing was written" in done.err
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_init_writes_through_no_link(tp: Run, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "config.toml").symlink_to(tmp_path / "elsewhere")
    done = tp("init", place)
    assert done.code == 2
    assert "config.toml already exists" in done.err
    assert not (tmp_path / "elsewhere").exists()
    assert not (place / "phrases.txt").exists()


def test_init_where_a_file_stands(tp: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        done = tp("init", place)
        assert done.code == 2
        assert f"cannot write {place}" in done.err
    assert (tmp_path / "file").read_text() == "mine"


def test_init_takes_back_what_it_could_not_finish(
    tp: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name that is too long stands for a disk that fills up half way.
    monkeypatch.setattr(
        init, "starter_files", lambda: {"phrases.txt": b"a\n", "c" * 300 + ".toml": b""}
    )
    done = tp("init", tmp_path)
    assert done.code == 2
    assert "cannot write" in done.err
    assert list(tmp_path.iterdir()) == []


def test_starter_files_of_a_wheel_and_of_neither(
    tp: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "tp_core"
    (package / "starter").mkdir(parents=True)
    monkeypatch.setattr(init.resources, "files", lambda name: package)
    done = tp("init", tmp_path / "new")
    assert done.code == 1
    assert "pip install --force-reinstall transformer-playground" in done.err
    (package / "starter" / "phrases.txt").write_bytes(b"one phrase\n")
    (package / "starter" / "default.toml").write_bytes(b"[data]\n")
    assert init.starter_files() == {"phrases.txt": b"one phrase\n", "config.toml": b"[data]\n"}
