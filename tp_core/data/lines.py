"""Phrases from a file, and which split each belongs to.

One phrase per line, UTF-8, lines end at "\\n" and nowhere else: `str.splitlines` would also cut at
form feeds, U+0085 and U+2028, which are ordinary characters inside a phrase. Torch-free.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tp_core.data.tokenizer import SPACE_MARK
from tp_core.errors import TpError

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, eq=False)
class Lines:
    """The phrases of a file in their order, exactly as written (no trimming).

    `numbers` int64 [n]: the line of the file (from 1) each phrase stands on. `blank`: lines skipped
    because they hold only whitespace. `sha256`: hex digest of the whole file.
    """

    lines: tuple[str, ...]
    numbers: NDArray[np.int64]
    blank: int
    sha256: str


def read_bytes(path: Path) -> bytes:
    """The content of the phrase file. Raises TpError when there is none to be had."""
    try:
        if path.exists() and not path.is_file():
            what = "a directory" if path.is_dir() else "not a regular file"
            raise TpError(f"{path}: is {what}; data.path takes a text file, one phrase per line")
        return path.read_bytes()
    except FileNotFoundError:
        raise TpError(
            f"{path}: no such file; set data.path to a UTF-8 text file with one phrase per line"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL inside the path
        reason = getattr(error, "strerror", None) or error
        raise TpError(f"{path}: cannot be read ({reason}); check data.path") from None


def read_lines(path: Path) -> Lines:
    """Read and check the phrase file. Raises TpError naming the file and, if it can, the line."""
    return parse_lines(path, read_bytes(path))


def parse_lines(path: Path, data: bytes) -> Lines:
    """The phrases in `data`, the content of `path` (which is only named in errors)."""
    text = decode_file(path, data)
    rows = text.split("\n")
    if rows[-1] == "":
        rows.pop()
    kept = [(number, row) for number, row in enumerate(rows, 1) if row and not row.isspace()]
    if not kept:
        what = "only blank lines" if rows else "empty"
        raise TpError(f"{path}: is {what}; put one phrase on each line, or set data.path")
    return Lines(
        lines=tuple(row[:-1] if row.endswith("\r") else row for _, row in kept),
        numbers=np.fromiter((number for number, _ in kept), np.int64, len(kept)),
        blank=len(rows) - len(kept),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def decode_file(path: Path, data: bytes) -> str:
    """The text of a file without its byte order mark. Raises TpError for what can't be tokenised.

    `path` is only named in errors, with the line.
    """
    body = data.removeprefix(_UTF8_BOM)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        number = body.count(b"\n", 0, error.start) + 1
        what = f"byte 0x{body[error.start]:02x} is not valid UTF-8"
        if data.startswith(_UTF16_BOMS):
            what += " (the file looks like UTF-16)"
        raise TpError(f"{path}:{number}: {what}; save the file as UTF-8") from None
    if SPACE_MARK in text:
        number = text.count("\n", 0, text.index(SPACE_MARK)) + 1
        raise TpError(
            f"{path}:{number}: the character U+2581 ({SPACE_MARK}) stands for a space inside the "
            "tokenizer and would come back as one; replace it in the file"
        )
    return text
