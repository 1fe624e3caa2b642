"""Reading a config file into plain data that knows where each key stands. Torch-free."""

from __future__ import annotations

import ast
import json
import runpy
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli

from tp_core.errors import ConfigError, Problem

KeyPath = tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """The content of a config file; `line_of` finds the 1-based line a key stands on, if any."""

    data: dict[str, Any]
    path: Path
    line_of: Callable[[KeyPath], int | None]

    def place(self, key: KeyPath) -> str:
        """`file:line` of a key, or of the nearest table around it."""
        for end in range(len(key), 0, -1):
            line = self.line_of(key[:end])
            if line is not None:
                return f"{self.path}:{line}"
        return str(self.path)


def read_config(path: Path) -> Source:
    """Read a `.toml`, `.py` or `.json` config. Raises `ConfigError` where there is none to read."""
    readers = {".toml": _read_toml, ".py": _read_python, ".json": _read_json}
    reader = readers.get(path.suffix)
    if reader is None:
        raise _unreadable(path, f"a config file ends in {', '.join(readers)}")
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise _unreadable(path, "no such file; `tp init DIR` writes one to start from") from None
    except UnicodeDecodeError as error:
        raise _unreadable(
            path, f"is not UTF-8: byte {error.start} is {error.object[error.start]:#x}"
        )
    except OSError as error:
        raise _unreadable(path, f"can't be read: {error.strerror}") from None
    source = reader(path, text)
    if not isinstance(source.data, dict):
        raise _unreadable(path, "holds no table of settings")
    return source


def _unreadable(path: Path, message: str, line: int | None = None) -> ConfigError:
    return ConfigError([Problem("", message, f"{path}:{line}" if line else str(path))])


def _read_toml(path: Path, text: str) -> Source:
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise _unreadable(path, f"not TOML: {error}") from None
    return Source(data, path, lambda key: _toml_line(text, key))


def _toml_line(text: str, key: KeyPath) -> int | None:
    """The line a statement that sets `key` begins on.

    A file's first n lines parse exactly when they end between two statements. So the key belongs to
    the statement after the last such prefix that lacks it. Only a file with problems pays for this.
    """
    start = 0
    lines = text.split("\n")
    for end in range(1, len(lines) + 1):
        try:
            data = tomli.loads("\n".join(lines[:end]))
        except tomli.TOMLDecodeError:
            continue
        if has_key(data, key):
            # An unfinished statement may be preceded by comments: they parsed, so they are not in it.
            return start + 1
        start = end
    return None


def has_key(data: Any, key: KeyPath) -> bool:
    for part in key:
        if isinstance(data, Mapping) and part in data:
            data = data[part]
        elif isinstance(data, list) and part.isdigit() and int(part) < len(data):
            data = data[int(part)]
        else:
            return False
    return True


def _read_python(path: Path, text: str) -> Source:
    try:
        namespace = runpy.run_path(str(path))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a config script may call sys.exit
        line = error.lineno if isinstance(error, SyntaxError) else None
        for frame in traceback.extract_tb(sys.exc_info()[2]):
            line = frame.lineno if frame.filename == str(path) else line
        detail = error.msg if isinstance(error, SyntaxError) else error
        raise _unreadable(path, f"{type(error).__name__}: {detail}", line) from None
    if "config" not in namespace:
        raise _unreadable(path, "sets no `config`; end it with config = {...}")
    tree = ast.parse(text)
    try:
        data = json.loads(json.dumps(namespace["config"]))
    except (TypeError, ValueError) as error:
        raise _unreadable(path, f"`config` must be plain data: {error}") from None
    return Source(data, path, lambda key: _python_line(tree, key))


def _python_line(tree: ast.Module, key: KeyPath) -> int | None:
    """The line of a key where `config` is written as a dict display; None where it is computed."""
    node: ast.AST | None = None
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "config" for target in statement.targets
        ):
            node = statement.value
    line = None
    for part in key:
        if not isinstance(node, ast.Dict):
            return None
        for name, value in zip(node.keys, node.values, strict=True):
            if isinstance(name, ast.Constant) and name.value == part:
                node, line = value, name.lineno
                break
        else:
            return None
    return line


def _read_json(path: Path, text: str) -> Source:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise _unreadable(path, f"not JSON: {error}") from None
    return Source(data, path, lambda key: None)
