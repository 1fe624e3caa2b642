"""Checkpoints: tensors and plain data in one file, written atomically.

A save writes a temporary file next to its target, flushes it to disk and renames it into place, so
a crash or a full disk can lose the new checkpoint but never the old one. A load first verifies the
checksum of every record, which `torch.load` doesn't do, and unpickles only tensors and plain data.
"""

from __future__ import annotations

import logging
import zipfile
from collections import OrderedDict
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

import torch
from torch import nn

from tp_core.errors import RunFailed, TpError
from tp_core.files import move, remove_leftovers, whole_file
from tp_core.runs.directory import RunDir

# Increase when older versions would misread what this version saves.
FORMAT = 1

_PLAIN = (torch.Tensor, nn.Parameter, str, int, float, bool, type(None))

logger = logging.getLogger(__name__)


def save_checkpoint(path: Path, payload: dict[str, Any], keep: Path | None = None) -> None:
    """Write `payload` to `path`; what was there moves to `keep`, where given.

    `payload` holds tensors, numbers, text, None, and lists, tuples and dicts (keys: text or
    integers) of these; anything else raises `TypeError`. At every moment, a kill included, `path`
    or `keep` can be loaded if one of them could before. A failed or interrupted save leaves no
    temporary file behind; one that is killed does, and the next save into the directory removes it.
    One writer per directory at a time, which is what the run's lock is for. Raises `RunFailed`
    where the file can't be written.
    """
    require_plain(payload, "checkpoint")
    try:
        remove_leftovers(path.parent)
        with whole_file(path, partial(_put_in_place, keep=keep)) as file:
            torch.save({**payload, "format": FORMAT}, file)
    except (OSError, RuntimeError) as error:
        # When a write fails, torch raises its own error on top.
        cause = error.__context__ if isinstance(error.__context__, OSError) else error
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else cause
        raise RunFailed(
            f"cannot write checkpoint {path}: {reason}; the previous checkpoint is intact"
        ) from error


def load_checkpoint(path: Path, map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """The payload of `path`, tensors on `map_location`, with the key `format` added by the save.

    Raises `TpError` where the file is missing, damaged, no checkpoint, or of a newer format.
    """
    return _require_known_format(_read(path, map_location), path)


def load_last(run: RunDir) -> tuple[dict[str, Any], Path]:
    """The newest loadable checkpoint of `run`, on the CPU, and the file it came from.

    `previous.pt` stands in, with a logged warning, where `last.pt` is missing or damaged. Raises
    `TpError` where neither can be loaded, or the run's checkpoints have a newer format.
    """
    path = run.last_path
    try:
        payload = _read(path, "cpu")
    except TpError as error:
        path = run.previous_path
        if not path.exists():
            raise
        payload = _read(path, "cpu")
        logger.warning("%s; falling back to %s", error, path)
    return _require_known_format(payload, path), path


def _put_in_place(temporary: Path, path: Path, keep: Path | None) -> None:
    # A damaged file must not replace an intact `keep`, which a resume may need.
    moved_to = keep if keep is not None and _intact(path) else None
    try:
        if moved_to is not None:
            move(path, moved_to)
        move(temporary, path)
    except BaseException:
        if moved_to is not None and not path.exists():
            with suppress(OSError):  # if this fails too, `keep` can still be loaded
                move(moved_to, path)
        raise


def _intact(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _damage(file) is None
    except OSError:
        return False


def _read(path: Path, map_location: str | torch.device) -> dict[str, Any]:
    try:
        # One open file for both passes: training may replace `path` in between.
        with path.open("rb") as file:
            damage = _damage(file)
            if damage is not None:
                raise TpError(
                    f"{path} is damaged or not a checkpoint ({damage}): restore it from a backup, "
                    "or use another checkpoint"
                )
            file.seek(0)
            payload = _unpickle(file, path, map_location)
    except FileNotFoundError:
        raise TpError(
            f"no checkpoint {path}: 'tp runs list' lists the runs and their progress"
        ) from None
    except OSError as error:
        raise TpError(f"cannot read checkpoint {path}: {error.strerror or error}") from error
    if not isinstance(payload, dict) or type(payload.get("format")) is not int:
        raise TpError(
            f"{path} is a torch file but not a checkpoint of 'tp train'; use a checkpoint of a run"
        )
    return payload


def _damage(file: IO[bytes]) -> str | None:
    """What is wrong with the zip archive in `file`, if anything."""
    try:
        with zipfile.ZipFile(file) as archive:
            record = archive.testzip()
    except OSError:
        raise
    except Exception as error:
        # Damaged headers surface as whatever their fields are then used for: BadZipFile,
        # NotImplementedError, zlib.error, RuntimeError, struct.error, EOFError, ...
        return _first_line(error)
    return None if record is None else f"bad checksum of {record}"


def _unpickle(file: IO[bytes], path: Path, map_location: str | torch.device) -> object:
    try:
        payload: object = torch.load(file, map_location=map_location, weights_only=True)
    except OSError:
        raise
    except Exception as error:  # as above: a file can fail the unpickler in any way
        raise TpError(
            f"{path} cannot be loaded ({_first_line(error)}): use a checkpoint of 'tp train'"
        ) from error
    return payload


def _require_known_format(payload: dict[str, Any], path: Path) -> dict[str, Any]:
    if payload["format"] > FORMAT:
        raise TpError(
            f"{path} has checkpoint format {payload['format']}, this version reads up to {FORMAT}: "
            "upgrade with 'pip install --upgrade transformer-playground'"
        )
    return payload


def require_plain(value: object, place: str) -> None:
    """Raises `TypeError` where `value`, called `place`, has something in it that isn't plain."""
    # Exact types: a subclass is pickled as a reference to its class, which a safe load rejects.
    if isinstance(value, dict) and type(value) in (dict, OrderedDict):
        for key, item in value.items():
            if type(key) not in (str, int):
                raise TypeError(f"{place} has the key {key!r}: keys must be strings or integers")
            require_plain(item, f"{place}[{key!r}]")
    elif isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        for index, item in enumerate(value):
            require_plain(item, f"{place}[{index}]")
    elif type(value) not in _PLAIN:
        raise TypeError(
            f"{place} is a {type(value).__name__}: checkpoints can only hold tensors and plain data"
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
