"""`tp compare`: compare runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tp_core.cli import options
from tp_core.cli.terminal import emit, emit_json, emit_table, note, warn

if TYPE_CHECKING:
    from tp_core.compare.render import Comparison


@click.command()
@options.runs_dir
@options.run_ids("--run-ids")
@options.checkpoint
@options.prompt
@options.n_samples(3)
@options.max_new_tokens
@options.seed(0)
@options.strict_plugins
@options.as_json
@click.option("--md", "as_markdown", is_flag=True, help="Print Markdown.")
def command(
    runs_dir: Path,
    ids: list[str],
    checkpoint: str,
    prompt: str,
    n_samples: int,
    max_new_tokens: int | None,
    seed: int,
    strict_plugins: bool,
    as_json: bool,
    as_markdown: bool,
) -> None:
    """Compare runs side by side: metrics, config differences and samples.

    Each run is compared with the first in bits per byte, paired over the same validation lines,
    with a bootstrap confidence interval. Runs that differ only in train.seed form a group, compared
    by its mean and interval over seeds. All runs sample from the same prompt and seed, each with
    its own samplers.
    """
    if as_json and as_markdown:
        raise click.UsageError("--json and --md can't be combined")
    from tp_core.errors import TpError
    from tp_core.runs.directory import find_run

    runs = list({run.id: run for run in (find_run(runs_dir, id_) for id_ in ids)}.values())
    if len(runs) < 2:
        same = f"{', '.join(ids)} refer to the same run: " if len(ids) > 1 else ""
        raise TpError(f"{same}--run-ids needs at least two runs, separated by commas: A,B")
    from tp_core.compare.evaluated_run import Sampling
    from tp_core.compare.make import compare_runs
    from tp_core.compare.render import as_data
    from tp_core.compare.render import as_markdown as to_markdown

    sampling = Sampling(prompt, n_samples, max_new_tokens, seed)
    comparison = compare_runs(runs, checkpoint, sampling, strict_plugins=strict_plugins)
    for run in comparison.runs:
        for sentence in run.plugin_drift:
            warn(sentence)
    if as_json:
        emit_json(as_data(comparison))
    elif as_markdown:
        emit(to_markdown(comparison))
    else:
        _show(comparison)


def _show(comparison: Comparison) -> None:
    from tp_core.compare.render import sections

    for index, section in enumerate(sections(comparison)):
        emit(("\n" if index else "") + section.title)
        if section.columns:
            numbers = ("step", "loss", "bits/byte", "parameters", "FLOPs/token", "tokens/s")
            emit_table(section.columns, section.rows, right=numbers)
        for line in section.lines:
            emit(line)
    for remark in comparison.remarks:
        note(f"note: {remark}")
