"""Save a report in its run's directory, under a unique name, atomically."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from tp_core.errors import RunFailed
from tp_core.files import create_file, json_bytes
from tp_core.runs.directory import RunDir


def save(run: RunDir, report: Mapping[str, Any], page: str | None = None) -> list[Path]:
    """Write `report-<checkpoint>-<timestamp>.json` and, beside it, a page; the paths, JSON first.

    The time is UTC, to the second; a second report of that second is numbered, and no file is ever
    overwritten. Raises `RunFailed` where they can't be written, with nothing left behind.
    """
    contents = {".json": json_bytes(report)}
    if page is not None:
        contents[".html"] = page.encode("utf-8", "backslashreplace")
    at = datetime.fromisoformat(report["created"])
    stem = f"report-{report['checkpoint']}-{at:%Y%m%d-%H%M%S}"
    directory = run.reports_dir
    try:
        directory.mkdir(exist_ok=True)
        for number in count(1):
            name = stem if number == 1 else f"{stem}-{number}"
            with suppress(FileExistsError):
                return _create({directory / f"{name}{s}": c for s, c in contents.items()})
    except OSError as error:
        raise RunFailed(
            f"cannot write a report to {directory}: {error.strerror or error}; --json prints it"
        ) from error
    raise AssertionError("there is no last number")


def _create(contents: Mapping[Path, bytes]) -> list[Path]:
    """Make all of these files, or none of them. Raises what `create_file` does."""
    made: list[Path] = []
    try:
        for path, content in contents.items():
            create_file(path, content)
            made.append(path)
    except BaseException:
        for path in made:
            path.unlink()
        raise
    return made
