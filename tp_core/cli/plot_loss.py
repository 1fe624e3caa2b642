"""`tp plot-loss`: plot the loss curves of one or more runs. Imports no torch."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tp_core.cli import options
from tp_core.cli.terminal import emit, emit_colored, note
from tp_core.errors import TpError
from tp_core.files import replace_file
from tp_core.runs.directory import find_run

if TYPE_CHECKING:
    from tp_core.plots.curves import Axis, Figure

# Used when the terminal's size is unknown.
_FALLBACK = (100, 30)
_LEAST_SIZE = (40, 12)
_TALLEST = 30


@click.command()
@options.runs_dir
@options.run_ids("--run-id")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    show_default="loss-ID.svg",
    help="Output file: .svg, .png or .pdf.",
)
@click.option("--log-y", is_flag=True, help="Use a logarithmic y axis.")
@click.option(
    "--x",
    "axis",
    type=click.Choice(["steps", "tokens", "time"]),
    default="steps",
    show_default=True,
    help="X axis; time counts training steps only.",
)
@click.option(
    "--smooth",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Smooth the training loss with a moving average over N steps.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing output file.")
@click.option("--term", is_flag=True, help="Plot in the terminal instead of writing a file.")
def command(
    runs_dir: Path,
    ids: list[str],
    out: Path | None,
    log_y: bool,
    axis: Axis,
    smooth: int,
    force: bool,
    term: bool,
) -> None:
    """Plot training and validation loss, with the best step marked.

    Also works on runs that are still training or were interrupted. Runs with different tokenizers
    are plotted in bits per byte, which doesn't depend on the tokenizer. Prints the output path.
    """
    from tp_core.plots.curves import one_tokenizer, read_curves

    if not ids:
        raise click.UsageError("--run-id is empty: give one or more run ids, separated by commas")
    runs = {run.id: run for run in (find_run(runs_dir, id_) for id_ in ids)}
    figure: Figure = "loss" if one_tokenizer(list(runs.values())) else "bits_per_byte"
    if figure != "loss":
        note("the runs have different tokenizers: plotting bits per byte instead of loss per token")
    curves = [read_curves(run, axis, figure) for run in runs.values()]
    if term:
        if out is not None or force:
            raise click.UsageError("--term can't be combined with --out or --force")
        from tp_core.plots.terminal import draw_text

        columns, lines = shutil.get_terminal_size(_FALLBACK)
        color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        emit_colored(
            draw_text(
                curves,
                axis,
                figure,
                log_y=log_y,
                smoothing=smooth,
                width=max(columns, _LEAST_SIZE[0]),
                height=max(min(lines - 2, _TALLEST), _LEAST_SIZE[1]),
                color=color,
            )
        )
        return
    from tp_core.plots.image import FORMATS, draw

    path = out or Path(f"loss-{'+'.join(runs)[:100]}.svg")
    suffix = path.suffix[1:].lower()
    if suffix not in FORMATS:
        raise TpError(f"--out '{path}' must end in .{', .'.join(FORMATS)}")
    if path.exists() and not force:
        raise TpError(f"'{path}' already exists: choose another --out, or add --force")
    content = draw(curves, axis, figure, log_y=log_y, smoothing=smooth, suffix=suffix)
    replace_file(path, content)
    emit(str(path))
