"""What the pages say is compared with the code, and the README's Python is run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_runs

from tp_core.kernel.kinds import KINDS

ROOT = Path(__file__).parents[1]


def test_the_page_of_components_is_current() -> None:
    command = [sys.executable, "docs/make_components.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_built_in_component_says_what_it_is_and_where_it_is_from() -> None:
    page = (ROOT / "docs" / "components.md").read_text(encoding="utf-8")
    sections = page.split("\n### ")[1:]
    assert len(sections) > 70
    for section in sections:
        name = section.split()[0]
        assert "```text" in section, f"{name} has no docstring"
        if name not in ("greedy", "constant") and "metric-" not in section:  # older than papers
            assert "Source: " in section, f"{name} names no paper"


def test_the_contracts_are_those_of_the_table_of_kinds() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = page.partition("## The contracts\n")[2].partition("\n## ")[0]
    _, _, *lines = (line for line in section.splitlines() if line.startswith("|"))
    rows = [line.strip("| ").split(" | ") for line in lines]
    assert [name for name, _, _ in rows] == list(KINDS)
    for name, calls, contract in rows:
        assert contract == KINDS[name].contract
        required, _, optional = calls.partition("optional")
        assert _methods(required) == KINDS[name].required, name
        assert _methods(optional) == KINDS[name].optional, name


def test_the_readme_s_python_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    small = tiny_runs.write_config(tmp_path)
    assert '"configs/default.toml"' in code
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code.replace("configs/default.toml", str(small)), names)
    assert str(names["second"]) != str(names["run"])


def _methods(text: str) -> dict[str, tuple[str, ...]]:
    """The methods a text names, as `name(argument, argument)`."""
    return {
        name: tuple(filter(None, args.split(", ")))
        for name, args in re.findall(r"`(\w+)\((.*?)\)`", text)
    }
