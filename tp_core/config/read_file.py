"""Read a config file into plain data, with the line of each key. Torch-free."""

from __future__ import annotations

import ast
import contextlib
import json
import runpy
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tomli

from tp_core.config.source_lines import KeyPath, python_lines, toml_lines
from tp_core.errors import ConfigError, Problem
from tp_core.kernel.tracebacks import frames, summary


@dataclass(frozen=True)
class Source:
    """The content of a config file; `line_of` gives the 1-based line of a key, if known."""

    data: dict[str, Any]
    path: Path
    line_of: Callable[[KeyPath], int | None]

    def place(self, key: KeyPath) -> str:
        """`file:line` of a key, or of the closest enclosing table."""
        for end in range(len(key), 0, -1):
            line = self.line_of(key[:end])
            if line is not None:
                return f"{self.path}:{line}"
        return str(self.path)


def read_config(path: Path) -> Source:
    """Read a `.toml`, `.py` or `.json` config. Raises `ConfigError` if it can't be read."""
    readers = {".toml": _read_toml, ".py": _read_python, ".json": _read_json}
    reader = readers.get(path.suffix)
    if reader is None:
        raise _unreadable(path, f"a config file must end in {', '.join(readers)}")
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise _unreadable(path, "no such file; `tp init DIR` creates a starter config") from None
    except UnicodeDecodeError as error:
        # Everything before the invalid byte decodes, so its lines can be counted.
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = f"byte {error.object[error.start]:#x} is not UTF-8; save the file as UTF-8"
        raise _unreadable(path, byte, line) from None
    except OSError as error:
        raise _unreadable(path, f"can't be read: {error.strerror}") from None
    try:
        source = reader(path, text)
    except RecursionError:
        raise _unreadable(path, "is nested too deeply") from None
    if not isinstance(source.data, dict):
        raise _unreadable(path, "must contain a table of settings")
    return source


def _unreadable(path: Path, message: str, line: int | None = None) -> ConfigError:
    return ConfigError([Problem("", message, f"{path}:{line}" if line else str(path))])


def _read_toml(path: Path, text: str) -> Source:
    try:
        data = tomli.loads(text)
    except ValueError as error:  # tomli's own error, or an integer with too many digits
        raise _unreadable(path, f"invalid TOML: {error}", getattr(error, "lineno", None)) from None
    return Source(data, path, _looked_up(lambda: toml_lines(text)))


def _read_python(path: Path, text: str) -> Source:
    try:
        # Keep what a config prints out of the command's own output.
        with contextlib.redirect_stdout(sys.stderr):
            namespace = runpy.run_path(str(path))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a config script may call sys.exit
        raise _raised(path, error) from None
    if "config" not in namespace:
        raise _unreadable(path, "doesn't define `config`; add config = {...}")
    try:
        data = json.loads(json.dumps(namespace["config"]))
    except (TypeError, ValueError) as error:
        raise _unreadable(path, f"`config` must be plain data: {error}") from None
    return Source(data, path, _looked_up(lambda: python_lines(ast.parse(text))))


def _raised(path: Path, error: BaseException) -> ConfigError:
    own = (line for frame, line in frames(error) if frame.f_code.co_filename == str(path))
    line, message = next(own, None), summary(error)
    if isinstance(error, SystemExit):
        message = f"called sys.exit({error.code!r})"
    elif isinstance(error, SyntaxError) and error.filename == str(path):
        line, message = error.lineno, f"{type(error).__name__}: {error.msg}"
    return _unreadable(path, message, line)


def _read_json(path: Path, text: str) -> Source:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise _unreadable(path, f"invalid JSON: {error}", getattr(error, "lineno", None)) from None
    return Source(data, path, lambda key: None)


def _looked_up(
    make: Callable[[], Mapping[KeyPath, int]],
) -> Callable[[KeyPath], int | None]:
    """A look-up in a table that is built on first use, so only for configs with problems."""
    lines = cache(make)
    return lambda key: lines().get(key)
