"""`tp export`: export a run's model for use in other programs."""

from __future__ import annotations

from pathlib import Path

import click

from tp_core.cli import options
from tp_core.cli.terminal import emit, warn


@click.command()
@click.argument("id_", metavar="RUN")
@options.runs_dir
@options.checkpoint
@click.option(
    "--format",
    type=click.Choice(["safetensors"]),
    default="safetensors",
    show_default=True,
    help="Weights format.",
)
@options.strict_plugins
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    show_default="RUN-export",
    help="Output directory; must not exist.",
)
def command(
    id_: str,
    runs_dir: Path,
    checkpoint: str,
    format: str,
    strict_plugins: bool,
    out: Path | None,
) -> None:
    """Export a run's weights, config and tokenizer for use in other programs.

    RUN is a run id, a unique prefix of it, or 'latest'. Prints the output directory, which
    tp_core.load_run(DIRECTORY) opens in Python.
    """
    from tp_core.runs.directory import find_run

    run = find_run(runs_dir, id_)
    target = out or Path(f"{run.id}-export")
    from tp_core.runs.export import export
    from tp_core.runs.opening import open_run

    loaded = open_run(run, checkpoint, strict_plugins=strict_plugins)
    for sentence in loaded.plugin_drift:
        warn(sentence)
    export(loaded, target)
    emit(str(target))
