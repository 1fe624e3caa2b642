"""Atomic file writes, and the small JSON files of a run. Torch-free."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from tp_core.errors import RunFailed, TpError

_TEMPORARY = ".tmp"

# Attempts of `move`, and the seconds between them.
_ATTEMPTS = 20 if os.name == "nt" else 1
_PAUSE_S = 0.05


def replace_file(path: Path, content: bytes) -> None:
    """Replace `path` atomically: readers see either the old file or the new one.

    Raises `RunFailed` if it can't be written; the old file is kept.
    """
    try:
        with whole_file(path) as file:
            file.write(content)
    except OSError as error:
        raise RunFailed(f"cannot write {path}: {error.strerror or error}") from error


def create_file(path: Path, content: bytes) -> None:
    """Create `path` atomically.

    Raises `FileExistsError` if it exists, another `OSError` if it can't be written.
    """
    with whole_file(path, _claim) as file:
        file.write(content)


def move(source: Path, target: Path) -> None:
    """Rename a file, replacing `target` if it exists. Raises `OSError`.

    Windows refuses while another process has either file open, so the rename is retried there.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            source.replace(target)
        except PermissionError:
            time.sleep(_PAUSE_S)
        else:
            return
    source.replace(target)


@contextmanager
def whole_file(path: Path, place: Callable[[Path, Path], object] = move) -> Iterator[BinaryIO]:
    """A temporary file to write to, which becomes `path` once it is completely on disk.

    `place` moves the first path to the second, by default with an atomic rename. If anything fails
    or is interrupted, `path` is unchanged and the temporary file is removed. Only a killed process
    leaves one behind; see `remove_leftovers`.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_TEMPORARY}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        place(temporary, path)
        _sync_directory(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_leftovers(directory: Path) -> None:
    """Remove temporary files of killed processes; nobody else may be writing to `directory`."""
    for file in directory.glob(f".*{_TEMPORARY}"):
        file.unlink()


def _claim(temporary: Path, path: Path) -> None:
    """Move `temporary` to `path`. Raises `FileExistsError` if `path` exists."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # no hard links on this file system: claim an empty file first
        path.open("xb").close()
        move(temporary, path)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Replace `path` with `data` as strict JSON.

    Raises `ValueError` for NaN and infinities, and the errors of `replace_file`.
    """
    replace_file(path, json_bytes(data))


def json_bytes(data: Mapping[str, Any]) -> bytes:
    """`data` as strict JSON, indented. Raises `ValueError` for NaN and infinities."""
    text = json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises `TpError` if it is missing or damaged."""
    try:
        return parse_object(path.read_bytes())
    except FileNotFoundError:
        raise TpError(f"no such file: {path}; 'tp runs list' lists the runs") from None
    except OSError as error:
        raise TpError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise TpError(f"{path} is damaged ({error}): restore it, or use another run") from None


def parse_object(text: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises `ValueError` for anything else, including NaN."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def json_or_empty(path: Path) -> Mapping[str, Any]:
    """The result of `read_json`, or an empty mapping if that fails."""
    try:
        return read_json(path)
    except TpError:
        return {}


def _sync_directory(directory: Path) -> None:
    """Flush `directory`, so that renames survive a power failure where supported."""
    # Windows can't open directories, and some network file systems refuse to sync them.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
