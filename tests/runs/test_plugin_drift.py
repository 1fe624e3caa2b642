"""What a run says of its plugins: which differ now, and how pip brings them back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tp_core.kernel.catalogue import Plugin
from tp_core.runs.plugin_drift import plugin_drift, plugin_sha256
from tp_core.runs.requirements import requirements


def record(**changes: Any) -> dict[str, Any]:
    facts = {"distribution": "tp-yarn", "version": "1.0", "source_sha256": None, "direct_url": None}
    return {**facts, **changes}


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plugin:
    (tmp_path / "tp_yarn_probe").mkdir()
    (tmp_path / "tp_yarn_probe/__init__.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return Plugin("tp-yarn", "1.0", "yarn", "tp_yarn_probe.more:thing")


def test_the_same_plugin_has_not_drifted(plugin: Plugin) -> None:
    same = record(source_sha256=plugin_sha256(plugin))
    assert same["source_sha256"] is not None
    assert plugin_drift("r", [same], [plugin]) == []


def test_another_version_names_the_one_to_install(plugin: Plugin) -> None:
    (sentence,) = plugin_drift("r", [record(version="0.9")], [plugin])
    assert "run 'r' was trained with tp-yarn 0.9, but 1.0 is installed" in sentence
    assert "pip install tp-yarn==0.9" in sentence


def test_edited_sources_of_one_version_are_noticed(plugin: Plugin, tmp_path: Path) -> None:
    then = record(source_sha256=plugin_sha256(plugin))
    (tmp_path / "tp_yarn_probe/more.py").write_text("x = 1\n")
    (sentence,) = plugin_drift("r", [then, then], [plugin, plugin])
    assert "tp-yarn 1.0, whose installed sources have changed" in sentence


def test_what_was_not_recorded_cannot_have_drifted(plugin: Plugin) -> None:
    assert plugin_drift("r", [], [plugin]) == []
    assert plugin_drift("r", [record()], [plugin]) == []


@pytest.mark.parametrize(
    ("direct_url", "line"),
    [
        (None, "tp-yarn==1.0"),
        (
            {"url": "file:///home/me/yarn", "dir_info": {"editable": True}},
            "-e file:///home/me/yarn",
        ),
        ({"url": "file:///home/me/yarn", "dir_info": {}}, "tp-yarn @ file:///home/me/yarn"),
        (
            {"url": "https://x.org/yarn.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "tp-yarn @ git+https://x.org/yarn.git@abc",
        ),
        (
            {
                "url": "https://x.org/a.whl",
                "archive_info": {"hashes": {"sha256": "ff"}},
            },
            "tp-yarn @ https://x.org/a.whl#sha256=ff",
        ),
        (
            {
                "url": "https://x.org/mono.git",
                "vcs_info": {"vcs": "git", "commit_id": "abc"},
                "subdirectory": "pkg",
            },
            "tp-yarn @ git+https://x.org/mono.git@abc#subdirectory=pkg",
        ),
        ({"url": 5}, "tp-yarn==1.0"),
    ],
)
def test_a_requirement_leads_back_to_where_it_came_from(direct_url: Any, line: str) -> None:
    twice = [record(direct_url=direct_url), record(direct_url=direct_url)]
    assert requirements(twice) == [line]
    if not line.startswith("-e"):
        assert Requirement(line).name == "tp-yarn"
