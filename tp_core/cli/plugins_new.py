"""`tp plugins new`: create a plugin package. Imports no torch."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from tp_core.cli.terminal import emit, note


@click.command("new", short_help="Create a plugin package.")
@click.argument("kind")
@click.argument("name")
@click.option(
    "--dir",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default="the current directory",
    help="Parent directory of the new package.",
)
def command(kind: str, name: str, directory: Path) -> None:
    """Create a package with a component of kind KIND, named NAME in configs.

    \b
    tp plugins new norm my_norm        creates tp-my-norm/ with a working norm to edit

    The package can be installed, tested and trained with right away. Never overwrites files.
    """
    from tp_core.scaffold.package import scaffold, write

    package = scaffold(kind, name)
    place = write(package, directory)
    note(f"wrote {len(package.files)} files; next, run:")
    emit(
        f"cd {shlex.quote(str(place))}\n"
        "pip install -e '.[test]'\n"
        f"tp plugins list --kind {package.kind}\n"
        f"tp plugins check {package.distribution}\n"
        "python -m pytest\n"
        "tp init play && cd play\n"
        f"tp train --config config.toml --set {package.setting}"
    )
