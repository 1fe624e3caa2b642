"""`tp compare`: runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tp_core.cli.drift_warnings import strict_plugins_option
from tp_core.cli.sampling import encode_prompt
from tp_core.cli.terminal import emit, emit_json, emit_table, note

if TYPE_CHECKING:
    from tp_core.compare.render import Comparison
    from tp_core.runs.opening import Checkpoint


@click.command()
@click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where the runs are.",
)
@click.option("--run-ids", "ids", required=True, metavar="A,B[,C…]", help="The runs to compare.")
@click.option(
    "--checkpoint", type=click.Choice(["best_val", "last"]), default="best_val", show_default=True
)
@click.option("--prompt", help="The text to continue.")
@click.option("--unconditional", is_flag=True, help="Start from nothing.")
@click.option("--n-samples", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Most tokens to add.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@strict_plugins_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--md", "as_markdown", is_flag=True, help="Print Markdown.")
def command(
    runs_dir: Path,
    ids: str,
    checkpoint: Checkpoint,
    prompt: str | None,
    unconditional: bool,
    n_samples: int,
    max_new_tokens: int | None,
    seed: int,
    strict_plugins: bool,
    as_json: bool,
    as_markdown: bool,
) -> None:
    """Set runs side by side: figures, what differs, samples.

    Bits per byte are compared with the first run's, line by line over the same validation lines,
    with a bootstrap interval. Runs that differ only in train.seed count as one, and are compared by
    mean and interval over seeds. Every run writes with its own samplers, from one prompt and seed.
    """
    if (prompt is None) != unconditional:
        raise click.UsageError("give either --prompt TEXT or --unconditional")
    if as_json and as_markdown:
        raise click.UsageError("give --json or --md, not both")
    from tp_core.errors import ConfigError, TpError, UnusableRun
    from tp_core.runs.directory import find_run

    wanted = [part.strip() for part in ids.split(",") if part.strip()]
    runs = list({run.id: run for run in (find_run(runs_dir, part) for part in wanted)}.values())
    if len(runs) < 2:
        same = f"{', '.join(wanted)} is one run: " if len(wanted) > 1 else ""
        raise TpError(f"{same}--run-ids needs two runs or more, with commas between: A,B")
    from tp_core.compare.differences import config_differences, provenance_differences
    from tp_core.compare.evaluated_run import Sampling, evaluate_run
    from tp_core.compare.likelihood import compare_groups, group
    from tp_core.compare.render import Comparison, as_data
    from tp_core.compare.render import as_markdown as to_markdown

    sampling = Sampling(
        prompt=prompt or "",
        n_samples=n_samples,
        max_new_tokens=max_new_tokens,
        seed=seed,
        encode=encode_prompt,
    )
    evaluated = []
    for run in runs:
        try:
            evaluated.append(evaluate_run(run, checkpoint, sampling, strict_plugins=strict_plugins))
        except (UnusableRun, ConfigError):  # these name the run, or its file
            raise
        except TpError as error:
            raise type(error)(f"run '{run.id}': {error}") from error
    for sentence in (sentence for run in evaluated for sentence in run.plugin_drift):
        note(f"Warning: {sentence}")
    groups = group(evaluated)
    comparison = Comparison(
        checkpoint=checkpoint,
        prompt=prompt or "",
        sampling_seed=seed,
        runs=tuple(evaluated),
        groups=tuple(groups),
        config=tuple(config_differences([run.config for run in evaluated])),
        provenance=tuple(provenance_differences([run.provenance for run in evaluated])),
        verdicts=tuple(compare_groups(groups)),
    )
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
