"""Files that are written whole or not at all, and the small JSON files of a run. Torch-free."""

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

# How often, and how many seconds apart, `move` tries.
_ATTEMPTS = 20 if os.name == "nt" else 1
_PAUSE_S = 0.05


def replace_file(path: Path, content: bytes) -> None:
    """Replace `path`: every reader sees the old file or the new one, whole.

    Raises `RunFailed` where it can't be written; the old file stays.
    """
    try:
        with whole_file(path) as file:
            file.write(content)
    except OSError as error:
        raise RunFailed(f"cannot write {path}: {error.strerror or error}") from error


def create_file(path: Path, content: bytes) -> None:
    """Make `path`, whole. Raises `FileExistsError` where it is taken, other `OSError`s where it
    can't be written."""
    with whole_file(path, _claim) as file:
        file.write(content)


def move(source: Path, target: Path) -> None:
    """Rename a file, over `target` if that is there. Raises `OSError`.

    Windows refuses while another process has either file open; one that reads it is soon done.
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
    """A file to write to, which becomes `path` once all of it is on disk.

    `place` puts the first path in the place of the second, by default in one step. Where that, or
    anything before it, fails or is interrupted, `path` is as it was and the file is gone. Only a
    killed process leaves it behind, for `remove_leftovers`.
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
    """Remove what killed writers left in `directory`; nobody else may be writing there."""
    for file in directory.glob(f".*{_TEMPORARY}"):
        file.unlink()


def _claim(temporary: Path, path: Path) -> None:
    """Give `path` the content of `temporary`. Raises `FileExistsError` where it is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: claimed empty, and filled at once
        path.open("xb").close()
        move(temporary, path)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Replace `path` by `data` as strict JSON.

    Raises `ValueError` for NaN and infinities, and what `replace_file` does.
    """
    replace_file(path, json_bytes(data))


def json_bytes(data: Mapping[str, Any]) -> bytes:
    """`data` as strict JSON, indented. Raises `ValueError` for NaN and infinities."""
    text = json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises `TpError` naming it where it is missing or damaged."""
    try:
        return parse_object(path.read_bytes())
    except FileNotFoundError:
        raise TpError(f"no such file: {path}; 'tp runs list' shows the runs there are") from None
    except OSError as error:
        raise TpError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise TpError(f"{path} is damaged ({error}): restore it, or use another run") from None


def parse_object(text: bytes) -> dict[str, Any]:
    """The JSON object that `text` is. Raises `ValueError` for everything else, NaN included."""
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
    """What `read_json` gives, or nothing where that fails."""
    try:
        return read_json(path)
    except TpError:
        return {}


def _sync_directory(directory: Path) -> None:
    """Make renames in `directory` survive a power failure, where the system can."""
    # Windows opens no directories, and some network file systems refuse the sync.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
