"""`tp compare`: compare runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tp_core.cli import options
from tp_core.cli.terminal import emit, emit_json, emit_table, note, warn

if TYPE_CHECKING:
    from tp_core.compare.render import Comparison
    from tp_core.runs.opening import LoadedRun


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
    from tp_core.errors import ConfigError, TpError, UnusableRun
    from tp_core.runs.directory import find_run

    runs = list({run.id: run for run in (find_run(runs_dir, id_) for id_ in ids)}.values())
    if len(runs) < 2:
        same = f"{', '.join(ids)} refer to the same run: " if len(ids) > 1 else ""
        raise TpError(f"{same}--run-ids needs at least two runs, separated by commas: A,B")
    from tp_core.compare.differences import config_differences, provenance_differences
    from tp_core.compare.evaluated_run import Sampling, evaluate_run
    from tp_core.compare.likelihood import compare_groups, group
    from tp_core.compare.render import Comparison, as_data
    from tp_core.compare.render import as_markdown as to_markdown
    from tp_core.generation.generate import encode_prompt

    def encode(loaded: LoadedRun, prompt: str) -> list[int]:
        return encode_prompt(loaded.tokenizer, prompt, loaded.config.model.max_seq_len)

    sampling = Sampling(
        prompt=prompt,
        n_samples=n_samples,
        max_new_tokens=max_new_tokens,
        seed=seed,
        encode=encode,
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
        warn(sentence)
    groups = group(evaluated)
    comparison = Comparison(
        checkpoint=checkpoint,
        prompt=prompt,
        sampling_seed=seed,
        runs=tuple(evaluated),
        groups=tuple(groups),
        config=tuple(config_differences([run.config for run in evaluated])),
        provenance=tuple(provenance_differences([run.provenance for run in evaluated])),
        differences=tuple(compare_groups(groups)),
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
