"""Append-only logs of a run: one JSON object per line.

A process can be killed at any byte, so a line only counts once its newline is on disk: the writer
writes each line in one system call, readers ignore an incomplete last line, and a resume truncates
the file to the length recorded in its checkpoint. Torch-free.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tp_core.errors import RunFailed, TpError
from tp_core.files import parse_object


class JsonlWriter:
    """Appends JSON objects to `path`, one whole line per system call.

    `offset` is the length of the file in bytes after the last complete line: what a checkpoint
    stores and `truncate` takes. One writer per file at a time. Raises `RunFailed` where the file
    can't be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # Unbuffered: every write below is one system call, and nothing waits in this process.
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise _cannot_write(path, error) from error
        # Appending to a torn line would turn it into damage in the middle of the file.
        self.offset = _complete_length(path)
        self._file.truncate(self.offset)

    def write(self, record: Mapping[str, object]) -> None:
        """Append one line. NaN and infinities raise `ValueError` before anything is written."""
        text = json.dumps(record, allow_nan=False, ensure_ascii=False)
        # A lone surrogate (an undecodable byte of a command line) has no UTF-8, but a JSON escape.
        line = text.encode("utf-8", "backslashreplace") + b"\n"
        try:
            written = self._file.write(line)
            if written != len(line):
                self._file.truncate(self.offset)
                raise RunFailed(
                    f"cannot write {self._path}: the disk is full; free some space and resume"
                )
        except OSError as error:
            raise _cannot_write(self._path, error) from error
        self.offset += len(line)

    def flush_to_disk(self) -> None:
        """Flush all written lines to disk, so that they survive a power failure."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _cannot_write(self._path, error) from error

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        self._file.close()

    def __enter__(self) -> JsonlWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def truncate(path: Path, offset: int) -> None:
    """Cut `path` back to its first `offset` bytes, a length that `JsonlWriter.offset` once had.

    A missing file counts as empty. Raises `TpError` where the file is shorter than that, or has
    something other than the end of a line there.
    """
    try:
        with path.open("r+b") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(offset - 1, 0))
            if offset > 0 and file.read(1) != b"\n":  # beyond the end there is nothing to read
                raise TpError(
                    f"{path} doesn't match its checkpoint: it has {length} bytes and no line that "
                    f"ends at byte {offset}; restore it, or start a new run"
                )
            file.truncate(offset)
            file.flush()
            os.fsync(file.fileno())
    except FileNotFoundError:
        if offset > 0:
            raise TpError(
                f"{path} is missing, but its checkpoint refers to {offset} bytes of it; "
                "restore it, or start a new run"
            ) from None
    except OSError as error:
        raise _cannot_write(path, error) from error


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Every complete line of `path`, in order; a torn last line is left out.

    Raises `TpError` naming file and line where an earlier one is damaged, or the file where it
    can't be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise TpError(f"no such file: {path}; 'tp runs list' lists the runs") from None
    except OSError as error:
        raise TpError(f"cannot read {path}: {error.strerror or error}") from error
    # What follows the last newline is either nothing or a line still being written.
    complete = lines[:-1]
    records = []
    for number, line in enumerate(complete, start=1):
        try:
            records.append(parse_object(line))
        except ValueError as error:
            if number == len(complete):
                break  # a power failure can keep a line's length and lose its content
            raise TpError(
                f"{path}:{number}: damaged line ({error}); restore the file or delete the line"
            ) from None
    return records


def _complete_length(path: Path) -> int:
    """Bytes up to and including the last newline."""
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        if length == 0:
            return 0
        file.seek(length - 1)
        if file.read(1) == b"\n":
            return length
        file.seek(0)
        return file.read().rfind(b"\n") + 1


def _cannot_write(path: Path, error: OSError) -> RunFailed:
    return RunFailed(f"cannot write {path}: {error.strerror or error}; fix that and resume")
