"""Find the line of each key in a config file. Torch-free."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

import tomli

KeyPath = tuple[str, ...]


def toml_lines(text: str) -> dict[KeyPath, int]:
    """The 1-based line of every key of a TOML document, and of every entry of a list.

    A header counts as the line of its table; a table without one has the line of its first key.
    """
    found: dict[KeyPath, int] = {}
    tables: dict[KeyPath, int] = {}  # entries so far of each [[array of tables]]
    header: KeyPath = ()
    for first, lines in _statements(text):
        if lines[0].lstrip().startswith("["):
            keys = [*_keys(tomli.loads("\n".join(lines)))]
            repeated = lines[0].lstrip().startswith("[[")
            header = _numbered(keys[-2] if repeated else keys[-1], tables, repeated)
            found[header] = first
            for end in range(1, len(header)):
                found.setdefault(header[:end], first)
            continue
        for line, key in _pieces(first, lines):
            found.setdefault((*header, *key), line)
    return found


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of each statement, after the number of the first of them.

    A statement is whole as soon as it parses: what ends inside a list or a text does not.
    """
    lines: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        lines.append(line)
        try:
            data = tomli.loads("\n".join(lines))
        except (ValueError, RecursionError):
            continue
        if data:
            yield number - len(lines) + 1, lines
        lines = []


def _pieces(first: int, lines: list[str]) -> Iterator[tuple[int, KeyPath]]:
    """Each key a statement sets, and its line, which in a long list is not the first."""
    begins = first
    for end in range(len(lines)):
        piece = "\n".join(lines[: end + 1])
        for close in ("\n]", "\n}") if end < len(lines) - 1 else ("",):
            try:
                keys = list(_keys(tomli.loads(piece + close)))
            except (ValueError, RecursionError):
                continue
            yield from ((begins, key) for key in keys)
            begins = first + end + 1
            break


def _keys(data: Any, key: KeyPath = ()) -> Iterator[KeyPath]:
    entries = data.items() if isinstance(data, Mapping) else enumerate(data)
    for name, value in entries:
        inner = (*key, str(name))
        yield inner
        if isinstance(value, (Mapping, list)):
            yield from _keys(value, inner)


def _numbered(name: KeyPath, tables: dict[KeyPath, int], repeated: bool) -> KeyPath:
    """A header's key with the index of every [[table]] it lies in."""
    key: KeyPath = ()
    for end, part in enumerate(name, 1):
        key = (*key, part)
        if end == len(name) and repeated:
            tables[key] = tables.get(key, -1) + 1
        if key in tables:
            key = (*key, str(tables[key]))
    return key


def python_lines(tree: ast.Module) -> dict[KeyPath, int]:
    """The line of every key of a `config` written as a dict display; none of a computed one."""
    found: dict[KeyPath, int] = {}
    for statement in tree.body:
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        if any(isinstance(target, ast.Name) and target.id == "config" for target in targets):
            found = dict(_displayed(getattr(statement, "value", None)))
    return found


def _displayed(node: Any, key: KeyPath = ()) -> Iterator[tuple[KeyPath, int]]:
    """The keys of a display and the lines they stand on; the last of two equal ones counts."""
    entries: list[tuple[Any, ast.AST, int]] = []
    if isinstance(node, ast.Dict):
        names = zip(node.keys, node.values, strict=True)
        entries = [(k.value, v, k.lineno) for k, v in names if isinstance(k, ast.Constant)]
    elif isinstance(node, (ast.List, ast.Tuple)):
        entries = [(index, item, item.lineno) for index, item in enumerate(node.elts)]
    for name, value, line in entries:
        inner = (*key, str(name))
        yield inner, line
        yield from _displayed(value, inner)
