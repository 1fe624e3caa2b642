"""Where a report is kept: beside its run, under a name of its own, whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from tp_core.errors import RunFailed
from tp_core.files import sync_directory
from tp_core.runs.directory import RunDir


def save(run: RunDir, report: Mapping[str, Any], page: str | None = None) -> list[Path]:
    """Write `report-<checkpoint>-<timestamp>.json` and, beside it, a page; the paths, JSON first.

    The time is UTC, to the second; a second report of that second is numbered, and no file is ever
    overwritten. Raises `RunFailed` where they can't be written, with nothing left behind.
    """
    text = json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False)
    contents = {".json": text + "\n"} | ({".html": page} if page is not None else {})
    at = datetime.fromisoformat(report["created"])
    stem = f"report-{report['checkpoint']}-{at:%Y%m%d-%H%M%S}"
    directory = run.reports_dir
    temporary: list[Path] = []
    try:
        directory.mkdir(exist_ok=True)
        for suffix, content in contents.items():
            file = directory / f".{stem}.{secrets.token_hex(4)}{suffix}.tmp"
            temporary.append(file)
            with file.open("xb") as opened:
                opened.write(content.encode("utf-8", "backslashreplace"))
                opened.flush()
                os.fsync(opened.fileno())
        final = _placed(directory, stem, temporary, list(contents))
        sync_directory(directory)
    except OSError as error:
        raise RunFailed(
            f"cannot write a report to {directory}: {error.strerror or error}; --json prints it"
        ) from error
    finally:
        for file in temporary:
            with suppress(OSError):
                file.unlink()
    return final


def _placed(directory: Path, stem: str, files: list[Path], suffixes: list[str]) -> list[Path]:
    """The files under the first name that none of them finds taken."""
    for number in count(1):
        name = stem if number == 1 else f"{stem}-{number}"
        placed: list[Path] = []
        try:
            for file, suffix in zip(files, suffixes, strict=True):
                path = directory / f"{name}{suffix}"
                _place(file, path)
                placed.append(path)
        except FileExistsError:
            for path in placed:
                path.unlink()
            continue
        return placed
    raise AssertionError("there is no last number")


def _place(file: Path, path: Path) -> None:
    """Give `path` the content of `file`. Raises `FileExistsError` where it is taken."""
    try:
        os.link(file, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: claimed empty, and filled at once
        path.open("xb").close()
        file.replace(path)
