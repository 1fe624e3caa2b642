"""`tp init`: create a starter config and dataset."""

from __future__ import annotations

import os
import shlex
from importlib import resources
from pathlib import Path

import click

from tp_core.cli.terminal import emit, note
from tp_core.errors import RunFailed, TpError


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def command(directory: Path) -> None:
    """Write a starter phrases.txt and config.toml into DIR, creating it if needed.

    Never overwrites: if either file already exists, nothing is written.
    """
    files = starter_files()
    for name in files:
        if os.path.lexists(directory / name):
            raise TpError(
                f"{directory / name} already exists; nothing was written: choose another directory"
            )
    written: list[Path] = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            with (directory / name).open("xb") as file:
                written.append(directory / name)
                file.write(content)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise TpError(
            f"cannot write {error.filename or directory}: {error.strerror or error}; "
            "choose another directory"
        ) from error
    note(f"wrote {' and '.join(str(directory / name) for name in files)}; next, run:")
    enter = "" if directory.resolve() == Path.cwd() else f"cd {shlex.quote(str(directory))} && "
    emit(f"{enter}tp train --config config.toml")


def starter_files() -> dict[str, bytes]:
    """The contents of the files `tp init` writes, by name. Raises `RunFailed` if they are missing.

    A wheel has them inside the package, a checkout at its root.
    """
    package = resources.files("tp_core")
    starter = package.joinpath("starter")
    checkout = Path(str(package)).parent
    for phrases, config in (
        (starter.joinpath("phrases.txt"), starter.joinpath("default.toml")),
        (checkout / "phrases.txt", checkout / "configs" / "default.toml"),
    ):
        if phrases.is_file() and config.is_file():
            return {"phrases.txt": phrases.read_bytes(), "config.toml": config.read_bytes()}
    raise RunFailed(
        "the starter files are missing from this installation: "
        "pip install --force-reinstall transformer-playground"
    )
