"""The generated page of components is what its generator would write now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
