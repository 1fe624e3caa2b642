"""`tp report`: evaluate a run against baselines and real phrases."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from tp_core.cli import options

SHOWN = 5  # samples printed; the saved report has all of them


@click.command("report", short_help="Evaluate a run and its samples.")
@options.runs_dir
@options.run_id
@options.checkpoint
@options.prompt
@options.n_samples(200)
@options.max_new_tokens
@options.samplers
@options.seed()
@click.option(
    "--metrics",
    multiple=True,
    metavar="NAME[,OPTION=VALUE...][,NAME...]",
    help="Metrics to compute instead of the run's (repeatable).",
)
@click.option(
    "--train-mass",
    is_flag=True,
    help="Score every training phrase even if there are more than 100,000.",
)
@options.strict_plugins
@click.option("--html", is_flag=True, help="Also save the report as an HTML page.")
@options.as_json
def command(
    runs_dir: Path,
    run_id: str,
    checkpoint: str,
    prompt: str,
    n_samples: int,
    max_new_tokens: int | None,
    temperature: float | None,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None,
    samplers: tuple[str, ...],
    seed: int | None,
    metrics: tuple[str, ...],
    train_mass: bool,
    strict_plugins: bool,
    html: bool,
    as_json: bool,
) -> None:
    """Evaluate a run: likelihood of held-out phrases, sample quality, and memorisation.

    \b
    tp report --run-id latest --unconditional
    tp report --run-id latest --prompt "the moon" --temperature 0.8 --html
    tp report --run-id latest --unconditional --metrics likelihood,unique_rate

    Sample metrics are shown next to the same metrics computed on equally many held-out and training
    phrases. Prints a summary and saves the full report in the run's reports/ directory. Sampling
    options and metrics that are not given come from the run's config.
    """
    from tp_core.runs.directory import find_run
    from tp_core.runs.summary import summarize

    run = find_run(runs_dir, run_id)
    from tp_core.cli.terminal import clean, emit_json, note, warn
    from tp_core.evaluation.metric_overrides import with_metrics
    from tp_core.generation.sampler_overrides import with_samplers
    from tp_core.report.make import ReportSettings, make_report
    from tp_core.report.save import save
    from tp_core.runs.opening import open_run

    loaded = open_run(run, checkpoint, strict_plugins=strict_plugins)
    for sentence in loaded.plugin_drift:
        warn(sentence)
    state = summarize(run)
    if state.status != "finished":
        note(
            f"run '{run.id}' is {state.status} at step {state.step} of {state.max_steps}; "
            f"evaluating its checkpoint '{checkpoint}' from step {loaded.step}"
        )
    plan = with_samplers(
        loaded.plan, samplers, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p
    )
    if metrics:
        plan = with_metrics(plan, metrics)
    settings = ReportSettings(
        checkpoint=checkpoint,
        plan=plan,
        prompt=prompt,
        n_samples=n_samples,
        max_new_tokens=max_new_tokens or plan.config.sampling.max_new_tokens,
        seed=plan.config.train.seed if seed is None else seed,
        train_mass=train_mass,
    )
    report = make_report(loaded, settings, note if sys.stderr.isatty() else lambda what: None)
    page = None
    if html:
        from tp_core.report.page import render_page

        page = render_page(report, clean)
    paths = save(run, report, page)
    if as_json:
        emit_json(report)
    else:
        _show(report)
    note(f"saved {' and '.join(map(str, paths))}")


def _show(report: Mapping[str, Any]) -> None:
    """Print the summary: verdict, headline metrics, a few samples."""
    from tp_core.cli.terminal import emit, emit_table, one_line
    from tp_core.report.tables import tables

    verdict = report["verdict"]
    emit(f"{report['run']}, checkpoint {report['checkpoint']}, step {report['step']}")
    emit(verdict["text"])
    emit("\n".join(f"  {reason}" for reason in verdict["reasons"]))
    for table in tables(report):
        emit("")
        emit_table(table.columns, table.rows, right=table.right)
    for remark in report["remarks"]:
        emit(f"({remark})")
    count = len(report["samples"])
    emit(f"\nsamples ({min(SHOWN, count)} of {count}):")
    for sample in report["samples"][:SHOWN]:
        remarks = [f"in {sample['mark']}"] if sample["mark"] != "new" else []
        remarks += [f"cut off: {sample['stopped']}"] if sample["stopped"] != "end" else []
        said = f"  ({'; '.join(remarks)})" if remarks else ""
        emit(f"  {one_line(sample['text'])}{said}")
