"""What the commands share in talking to a terminal, a pipe or a program.

Data goes to stdout through `emit`, `emit_table` and `emit_json`, remarks to stderr through `note`.
A terminal gets tables that fit its width; a pipe gets each row on one whole line, without colour.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

import click

from tp_core.errors import RunFailed

SCHEMA_VERSION = 1

# C0 except newline and tab, DEL, C1, and the marks that reverse the order text is shown in.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_BREAK = re.compile(r"[ \t]*[\n\t]\s*")
# A column of text narrower than this is no longer read.
_LEAST_WIDTH = 20
_STYLES = {
    "ok": "green",
    "finished": "green",
    "running": "cyan",
    "interrupted": "yellow",
    "shadowed": "yellow",
    "ambiguous": "yellow",
    "disabled": "yellow",
    "broken": "red",
    "incompatible": "red",
    "crashed": "red",
    "diverged": "red",
}


def clean(text: str) -> str:
    """`text` with what a terminal would obey (escape sequences, say) written out as `\\x1b`."""
    return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """`text` cleaned, and on one line; spaces within it stay."""
    return _BREAK.sub(" ", clean(text))


def note(text: str) -> None:
    """A remark for a person, on stderr."""
    click.echo(clean(text), err=True)


def warn(text: str) -> None:
    """A remark that something may not be as it should, on stderr."""
    note(f"Warning: {text}")


def emit(text: str, *, end: str = "\n") -> None:
    """Data on stdout, cleaned. Raises `RunFailed` where stdout can't be written (a full disk)."""
    _write(lambda: click.echo(clean(text) + end, nl=False))


def emit_colored(text: str) -> None:
    """Text of our own making that may hold colour codes, on stdout."""
    _write(lambda: click.echo(text))


def emit_json(data: dict[str, Any]) -> None:
    """`data` as strict JSON on stdout, under the version of its layout."""
    text = json.dumps({"schema_version": SCHEMA_VERSION, **data}, indent=2, allow_nan=False)
    _write(lambda: click.echo(text))


def emit_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Iterable[str] = (),
    sections: str = "",
) -> None:
    """Rows of text on stdout; the last column may be long.

    `right` names columns of numbers. With `sections`, a terminal shows the first column as headings
    over the rows that share it; `sections` is the heading where it is empty.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _write(lambda: _draw(columns, cells, frozenset(right), sections))
    else:
        emit(_aligned([columns, *([cell or "-" for cell in row] for row in cells)]))


def discard_stdout() -> None:
    """Let what is still buffered for stdout go nowhere, so that the end of the process is quiet."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # no file descriptor behind it: nothing will be flushed there
        return


def _write(action: Callable[[], None]) -> None:
    try:
        action()
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_stdout()
        raise RunFailed(f"cannot write to stdout: {error.strerror or error}") from error


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in padded)


def _draw(
    columns: Sequence[str], rows: list[list[str]], right: frozenset[str], sections: str
) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    skip, indent = (1, 2) if sections else (0, 0)
    # The same widths in every section; the last column takes what is left.
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    fixed = indent + sum(width + 2 for width in widths[skip:-1])
    if console.width < fixed + min(widths[-1], _LEAST_WIDTH):
        emit(_stacked(columns, rows, widths, sections))
        return
    for heading, group in groupby(rows, key=lambda row: row[0] if sections else ""):
        if sections:
            console.print(Text(heading or sections, style="bold"))
        table = Table(box=None, show_header=not sections, padding=(0, 2, 0, 0), pad_edge=False)
        for name, width in list(zip(columns, widths, strict=True))[skip:]:
            table.add_column(
                Text(name),
                justify="right" if name in right else "left",
                width=None if name == columns[-1] else width,
                overflow="fold",
            )
        for row in group:
            table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row[skip:]))
        console.print(Padding(table, (0, 0, 0, indent)))


def _stacked(
    columns: Sequence[str], rows: list[list[str]], widths: Sequence[int], sections: str
) -> str:
    """A table for a narrow terminal, which wraps what is too long: the last column stands below."""
    if not sections:
        return _aligned([columns, *rows])
    lines = []
    for heading, group in groupby(rows, key=lambda row: row[0]):
        lines.append(heading or sections)
        for row in group:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append("  " + "  ".join(cells[1:-1]).rstrip())
            lines += [f"    {row[-1]}"] if row[-1] else []
    return "\n".join(lines)
