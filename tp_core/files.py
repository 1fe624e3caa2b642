"""Files that are replaced whole or not at all, and the small JSON files of a run. Torch-free."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tp_core.errors import RunFailed, TpError

# How often, and how many seconds apart, `move` tries.
_ATTEMPTS = 20 if os.name == "nt" else 1
_PAUSE_S = 0.05


def replace_file(path: Path, content: bytes) -> None:
    """Replace `path`: every reader sees the old file or the new one, whole.

    Raises `RunFailed` where it can't be written; the old file stays.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        move(temporary, path)
        sync_directory(path.parent)
    except OSError as error:
        raise RunFailed(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Replace `path` by `data` as strict JSON.

    Raises `ValueError` for NaN and infinities, and what `replace_file` does.
    """
    text = json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False)
    replace_file(path, text.encode("utf-8", "backslashreplace") + b"\n")


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


def sync_directory(directory: Path) -> None:
    """Make renames in `directory` survive a power failure, where the system can."""
    # Windows opens no directories, and some network file systems refuse the sync.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
