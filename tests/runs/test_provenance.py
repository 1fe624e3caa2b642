"""Provenance: sources hashed without importing them, install records found, git asked politely."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tp_core.files import read_json, write_json
from tp_core.runs.provenance import ComponentRecord, collect, direct_url, source_sha256

RECORD = ComponentRecord(
    kind="positional_encoding",
    name="tp-yarn:rope",
    distribution="tp-yarn",
    version="0.2.1",
    target="tp_yarn.model:Yarn",
    options={"theta": 10000.0},
    source_sha256="ab",
    direct_url=None,
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on sys.path."""
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(str(path))
    return path


def package(site: Path, name: str = "tp_probe") -> Path:
    """A package that can be looked at and not imported."""
    root = site / name
    (root / "inner").mkdir(parents=True)
    (root / "__init__.py").write_text("raise SystemExit('imported')\n")
    (root / "inner" / "model.py").write_text("x = 1\n")
    (root / "weights.bin").write_bytes(b"\0")
    return root


# --- collect ---


def test_collect_is_plain_data_that_survives_the_file(tmp_path: Path) -> None:
    other = {"kind": "norm", "name": "rmsnorm"}
    data = {"path": "phrases.txt", "lines": 3}
    before = datetime.now(timezone.utc)
    record = collect([RECORD, other], data, torch_threads=2)
    write_json(tmp_path / "provenance.json", record)
    assert read_json(tmp_path / "provenance.json") == record
    assert record["components"][0]["name"] == "tp-yarn:rope"
    assert record["components"][0]["options"] == {"theta": 10000.0}
    assert record["components"][1] == other
    assert record["data"] == data
    assert record["torch_threads"] == 2
    assert record["command"] == sys.argv
    created = datetime.fromisoformat(record["created"])
    assert created.utcoffset() == timedelta(0)
    assert created >= before


def test_collect_names_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tp_core.runs.provenance.DISTRIBUTIONS", ("pluggy", "no-such-dist"))
    import pluggy

    assert collect([], {}, torch_threads=1)["versions"] == {
        "pluggy": pluggy.__version__,
        "no-such-dist": None,
    }


def test_collect_lists_what_a_run_depends_on() -> None:
    versions = collect([], {}, torch_threads=1)["versions"]
    assert {"torch", "numpy", "sentencepiece", "pydantic", "pluggy"} < set(versions)
    assert "transformer-playground" in versions


# --- git ---


def git(directory: Path, *arguments: str) -> str:
    return subprocess.run(
        [
            "git",
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "-c",
            "commit.gpgsign=false",
            *arguments,
        ],
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_commit_and_dirty_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def state() -> dict[str, object]:
        found = collect([], {}, torch_threads=1)["git"]
        assert isinstance(found, dict)
        return found

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    checkout = tmp_path / "checkout"
    (checkout / "below").mkdir(parents=True)
    monkeypatch.chdir(checkout / "below")
    assert state() == {"commit": None, "dirty": None}
    git(checkout, "init", "--quiet")
    assert state() == {"commit": None, "dirty": None}
    (checkout / "code.py").write_text("x = 1\n")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "first")
    commit = git(checkout, "rev-parse", "HEAD")
    assert state() == {"commit": commit, "dirty": False}
    (checkout / "runs.txt").write_text("untracked")
    assert state() == {"commit": commit, "dirty": False}
    (checkout / "code.py").write_text("x = 2\n")
    assert state() == {"commit": commit, "dirty": True}


@pytest.mark.parametrize("error", [FileNotFoundError("git"), subprocess.TimeoutExpired("git", 5)])
def test_no_git_is_null(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    assert collect([], {}, torch_threads=1)["git"] == {"commit": None, "dirty": None}


# --- sources ---


def test_sources_are_hashed_without_importing(site: Path) -> None:
    package(site)
    digest = source_sha256("tp_probe")
    assert digest is not None
    assert len(digest) == 64
    assert source_sha256("tp_probe.inner.model") == digest
    assert "tp_probe" not in sys.modules


def test_the_hash_changes_with_any_source_and_with_nothing_else(site: Path) -> None:
    root = package(site)
    digest = source_sha256("tp_probe")
    (root / "weights.bin").write_bytes(b"\1")
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"\1")
    (root / ".#lock.py").symlink_to(root / "nowhere")
    assert source_sha256("tp_probe") == digest
    seen = {digest}
    for change in (
        lambda: (root / "inner" / "model.py").write_text("x = 2\n"),
        lambda: (root / "inner" / "model.py").rename(root / "inner" / "other.py"),
        lambda: (root / "empty.py").write_text(""),
        # The same bytes divided otherwise among the same files.
        lambda: (root / "empty.py").write_text("x = 2\n"),
        lambda: (root / "inner" / "other.py").write_text(""),
    ):
        change()
        seen.add(source_sha256("tp_probe"))
    assert len(seen) == 6


def test_the_hash_is_the_documented_one(site: Path) -> None:
    root = site / "tp_probe"
    contents = {f"{letter}/m{letter}.py": f"x = '{letter}'\n" for letter in "qjzmaxkd"}
    for relative, content in contents.items():
        (root / relative).parent.mkdir(parents=True)
        (root / relative).write_text(content)
    digest = hashlib.sha256()
    for relative in sorted(contents):
        digest.update(f"{relative}\0{len(contents[relative])}\0{contents[relative]}".encode())
    assert source_sha256("tp_probe") == digest.hexdigest()


def test_the_hash_does_not_depend_on_where_the_package_lies(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(site)
    digest = source_sha256("tp_probe")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(site, elsewhere)
    monkeypatch.syspath_prepend(str(elsewhere))
    shutil.rmtree(site / "tp_probe")
    assert source_sha256("tp_probe") == digest


def test_single_modules_and_namespace_packages(site: Path) -> None:
    (site / "tp_single.py").write_text("x = 1\n")
    (site / "tp_space" / "part").mkdir(parents=True)
    (site / "tp_space" / "part" / "a.py").write_text("x = 1\n")
    single, space = source_sha256("tp_single"), source_sha256("tp_space")
    assert None not in (single, space)
    assert single != space
    (site / "tp_single.py").write_text("x = 2\n")
    assert source_sha256("tp_single") != single


@pytest.mark.parametrize("name", ["", ".relative", "no_such_package_at_all", "sys", "math", "a b"])
def test_no_sources_is_none(name: str) -> None:
    assert source_sha256(name) is None


def test_a_module_without_a_spec_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    assert source_sha256("__main__") is None


# --- direct_url.json ---


def metadata(site: Path, folder: str, name: str, record: str | None = None) -> None:
    directory = site / folder
    directory.mkdir(parents=True)
    info = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    kind = "PKG-INFO" if folder.endswith(".egg-info") else "METADATA"
    (directory / kind).write_text(info)
    if record is not None:
        (directory / "direct_url.json").write_text(record)


URL = {"url": "file:///src/tp-probe", "dir_info": {"editable": True}}


@pytest.mark.parametrize("name", ["tp-probe", "TP_Probe", "tp.probe"])
def test_direct_url_of_an_editable_install_found_twice(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    metadata(site, "tp_probe-1.0.dist-info", "tp-probe", json.dumps(URL))
    checkout = tmp_path / "checkout"
    metadata(checkout, "tp_probe.egg-info", "tp-probe")
    assert direct_url(name) == URL
    monkeypatch.syspath_prepend(str(checkout))  # now the one without the record comes first
    assert direct_url(name) == URL


@pytest.mark.parametrize("record", [None, "", "{", "[]", "null"])
def test_no_direct_url_is_none(site: Path, record: str | None) -> None:
    metadata(site, "tp_probe-1.0.dist-info", "tp-probe", record)
    metadata(site, "tp_probe_more-1.0.dist-info", "tp-probe-more", json.dumps(URL))
    assert direct_url("tp-probe") is None
    assert direct_url("tp-probe-absent") is None
