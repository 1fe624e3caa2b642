"""Create a plugin package: the files of `tp plugins new`.

The component is a copy of its kind's minimal component (`tp_core.testing.minimal`) with the given
name; the other files come from `templates/`. Torch-free.
"""

from __future__ import annotations

import builtins
import importlib.util
import keyword
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path

from tp_core.errors import TpError, did_you_mean
from tp_core.kernel.catalogue import OWN, Catalogue
from tp_core.kernel.discovery import own_version
from tp_core.kernel.kinds import KINDS

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST = 40  # a file name has room for 255, a line of the files for less

# Their packages would be those of tp itself, and of the conformance kit.
RESERVED = ("core", "plugins", "testing")

_TEMPLATES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "LICENSE": "LICENSE",
    ".gitignore": "gitignore",
    "tests/test_conformance.py": "test_conformance.py",
}
_MINIMAL = "tp_core.testing.minimal"


@dataclass(frozen=True)
class ScaffoldedPackage:
    """The names a component's package goes by, and its files by their path in it."""

    kind: str
    name: str
    files: Mapping[str, str]

    @property
    def distribution(self) -> str:
        return f"tp-{self.name.replace('_', '-')}"

    @property
    def setting(self) -> str:
        """The `--set` that trains with it."""
        return _setting(self.kind, self.name)


def scaffold(kind: str, name: str) -> ScaffoldedPackage:
    """The package of a component to be written. Raises `TpError` for a kind there is none of, and
    for a name that can't be had."""
    kind = which_kind(kind)
    _check_name(kind, name)
    values = {
        "kind": kind,
        "words": KINDS[kind].words,
        "article": KINDS[kind].article,
        "name": name,
        "package": f"tp_{name}",
        "distribution": f"tp-{name.replace('_', '-')}",
        "setting": _setting(kind, name),
        "tp_version": own_version() or "0",
        "year": str(date.today().year),
    }
    templates = resources.files("tp_core.scaffold").joinpath("templates")
    files = {
        path: _render(templates.joinpath(f"{template}.jinja").read_text(encoding="utf-8"), values)
        for path, template in _TEMPLATES.items()
    }
    return ScaffoldedPackage(kind, name, {**files, **_component(kind, name)})


def _component(kind: str, name: str) -> dict[str, str]:
    """The two files of the kind's minimal component, with the names of a new one in them."""
    package, minimal = f"tp_{name}", resources.files(_MINIMAL).joinpath(kind)
    files = {
        f"{package}/{file}": minimal.joinpath(file).read_text(encoding="utf-8")
        for file in ("__init__.py", f"{kind}.py")
    }
    cls = _class_name(kind, name, "\n".join(files.values()))
    names = {f"{_MINIMAL}.{kind}": package, 'name="minimal"': f'name="{name}"', "Minimal": cls}
    for old, new in names.items():
        files = {path: text.replace(old, new) for path, text in files.items()}
    return files


def write(package: ScaffoldedPackage, parent: Path) -> Path:
    """Write the package into a new directory of its own below `parent`, whole or not at all.

    Returns the directory. Raises `TpError` where it exists already or can't be written.
    """
    place = parent / package.distribution
    if os.path.lexists(place):
        raise TpError(
            f"{place} already exists; nothing was written: choose another name, "
            "or another directory with --dir"
        )
    made = next(path for path in [*reversed(place.parents), place] if not path.exists())
    try:
        for path, text in package.files.items():
            file = place / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except BaseException as error:
        shutil.rmtree(made, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise TpError(
            f"cannot write {error.filename or place}: {error.strerror or error}; "
            "choose another directory with --dir"
        ) from error
    return place


def which_kind(text: str) -> str:
    """The kind that is meant: `norm`, `Norms` and `positional-encoding` alike."""
    word = re.sub(r"[-\s]+", "_", text.strip().lower())
    for kind in KINDS:
        if word in (kind, f"{kind}s"):
            return kind
    near = did_you_mean(word, KINDS) or f" Kinds: {', '.join(KINDS)}."
    raise TpError(f"unknown kind '{text}'.{near}")


def _check_name(kind: str, name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        fitting = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")[:_LONGEST]
        hint = f"; try '{fitting.strip('_')}'" if _NAME.fullmatch(fitting.strip("_")) else ""
        raise TpError(
            f"name '{name}' is invalid: use lowercase letters, digits and single underscores, "
            f"starting with a letter, at most {_LONGEST} characters{hint}"
        )
    if name in RESERVED:
        raise TpError(f"name '{name}': tp-{name} and tp_{name} are reserved; choose another")
    for registered in (c for one in Catalogue().load_distribution(OWN) for c in one.components):
        if registered.kind == kind and name in registered.names:
            raise TpError(
                f"{kind} '{name}' is built in and takes precedence: yours would only be "
                f"available as 'tp-{name.replace('_', '-')}:{name}'. Choose another name"
            )
    taken = importlib.util.find_spec(f"tp_{name}")
    if taken is not None:
        raise TpError(
            f"package tp_{name} is already installed ({taken.origin or 'no file'}): choose "
            f"another name, or uninstall it: pip uninstall tp-{name.replace('_', '-')}"
        )


def _class_name(kind: str, name: str, source: str) -> str:
    """`my_norm` -> `MyNorm`, with the kind behind it where the source has that word already."""
    words = [word.capitalize() for word in name.split("_")]
    plain = "".join(words)
    taken = keyword.iskeyword(plain) or hasattr(builtins, plain)
    if taken or re.search(rf"\b{plain}\b", source):
        return plain + "".join(word.capitalize() for word in kind.split("_"))
    return plain


def _setting(kind: str, name: str) -> str:
    names = ("likelihood", name) if kind == "metric" else (name,)
    return shlex.quote(KINDS[kind].setting(*names))


def _render(text: str, values: Mapping[str, str]) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(text).render(values)
