"""`tp plugins new`: a package of one's own to start from. Imports no torch."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from tp_core.cli.terminal import emit, note


@click.command("new")
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
    """Write a complete package with a component of KIND that a config calls NAME.

    \b
    tp plugins new norm my_norm        writes tp-my-norm/, with a norm to change

    It can be installed, trained with and tested as it is. Nothing is overwritten.
    """
    from tp_core.scaffold.package import scaffold, write

    package = scaffold(kind, name)
    place = write(package, directory)
    note(f"wrote {len(package.files)} files; next:")
    emit(
        f"cd {shlex.quote(str(place))}\n"
        "pip install -e '.[test]'\n"
        f"tp plugins list --kind {package.kind}\n"
        f"tp plugins check {package.distribution}\n"
        "python -m pytest\n"
        "tp init play && cd play\n"
        f"tp train --config config.toml --set {package.setting}"
    )
