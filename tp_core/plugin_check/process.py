"""Run the probe of one distribution in a subprocess."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tp_core.kernel.discovery import Plugin
from tp_core.plugin_check.findings import Finding

TIMEOUT_S = 300

Components = tuple[tuple[str, str], ...]


def probe(plugins: Sequence[Plugin]) -> tuple[Components, list[Finding]]:
    """The components of one distribution's plugins, and what is wrong with them."""
    with tempfile.TemporaryDirectory(prefix="tp-check-") as folder:
        answers = Path(folder) / "answers.jsonl"
        command = [sys.executable, "-m", "tp_core.plugin_check.probe", str(answers)]
        end = _run([*command, json.dumps([asdict(plugin) for plugin in plugins])])
        lines = answers.read_text(encoding="utf-8").splitlines() if answers.exists() else []
    findings, components, at = [], [], "starting"
    for line in map(json.loads, lines):
        match line["type"]:
            case "finding":
                findings.append(Finding(**line["finding"]))
            case "component":
                components.append((line["kind"], line["name"]))
            case "at":
                at = line["what"]
    if at != "end":
        findings.append(Finding(plugins[0].distribution, f"{at} {end}"))
    return tuple(components), findings


def _run(command: Sequence[str]) -> str:
    """How the process ended, in words."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return f"took more than {TIMEOUT_S} s"
    last = (done.stderr.strip().splitlines() or [""])[-1]
    return f"ended the process with code {done.returncode}" + (f": {last}" if last else "")
