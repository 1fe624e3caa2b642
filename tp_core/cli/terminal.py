"""Output shared by all commands: text, tables and JSON.

Data goes to stdout through `emit`, `emit_table` and `emit_json`, messages to stderr through `note`
and `warn`. On a terminal, tables are fitted to its width; in a pipe, each row is one line of plain
text.
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
# A text column narrower than this is unreadable.
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
    """`text` with control characters, such as escape sequences, written out as `\\x1b`."""
    return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """`text` cleaned and joined into one line; runs of spaces are kept."""
    return _BREAK.sub(" ", clean(text))


def note(text: str) -> None:
    """Print a message on stderr."""
    click.echo(clean(text), err=True)


def warn(text: str) -> None:
    """Print a warning on stderr."""
    note(f"Warning: {text}")


def emit(text: str, *, end: str = "\n") -> None:
    """Print cleaned data on stdout. Raises `RunFailed` if stdout can't be written (disk full)."""
    _write(lambda: click.echo(clean(text) + end, nl=False))


def emit_colored(text: str) -> None:
    """Print trusted text, which may hold colour codes, on stdout."""
    _write(lambda: click.echo(text))


def emit_json(data: dict[str, Any]) -> None:
    """Print `data` as strict JSON on stdout, with a `schema_version`."""
    text = json.dumps({"schema_version": SCHEMA_VERSION, **data}, indent=2, allow_nan=False)
    _write(lambda: click.echo(text))


def emit_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Iterable[str] = (),
    sections: str = "",
) -> None:
    """Print a table on stdout; the last column may be long.

    `right` names the right-aligned columns. With `sections`, a terminal groups rows under the value
    of the first column, or under `sections` where it is empty.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _write(lambda: _draw(columns, cells, frozenset(right), sections))
    else:
        emit(_aligned([columns, *([cell or "-" for cell in row] for row in cells)]))


def discard_stdout() -> None:
    """Discard what is still buffered for stdout, so that the process exits without an error."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # not backed by a file descriptor: nothing to discard
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
    # All sections use the same widths; the last column takes the remaining space.
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
    """A table for a narrow terminal: the last column goes on a line of its own."""
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
