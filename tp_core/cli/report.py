"""`tp report`: how good a run is, beside what that should be compared with."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tp_core.cli.drift_warnings import note_plugin_drift, strict_plugins_option
from tp_core.cli.sampling import encode_prompt, sampling_options, with_samplers

if TYPE_CHECKING:
    from tp_core.config.components import ResolvedComponent
    from tp_core.config.plan import Plan
    from tp_core.runs.opening import Checkpoint

SHOWN = 5  # samples a person sees; the saved report has them all


@click.command("report", short_help="Measure a run, beside held-out phrases.")
@click.option(
    "--runs-dir", type=click.Path(path_type=Path), default=Path("runs"), show_default=True
)
@click.option("--run-id", default="latest", show_default=True, help="Id, unique prefix or latest.")
@click.option(
    "--checkpoint", type=click.Choice(["best_val", "last"]), default="best_val", show_default=True
)
@click.option("--prompt", help="Measure continuations of this text.")
@click.option("--unconditional", is_flag=True, help="Measure samples started from nothing.")
@click.option("--n-samples", type=click.IntRange(min=1), default=200, show_default=True)
@sampling_options
@click.option("--seed", type=click.IntRange(min=0), help="Where the random draws start.")
@click.option(
    "--metrics",
    multiple=True,
    metavar="NAME[,OPTION=VALUE...][,NAME...]",
    help="Metrics in place of the config's (repeatable).",
)
@click.option(
    "--train-mass",
    is_flag=True,
    help="Score every training phrase even where there are more than 100,000.",
)
@strict_plugins_option
@click.option("--html", is_flag=True, help="Save a page to look at as well.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
def command(
    runs_dir: Path,
    run_id: str,
    checkpoint: Checkpoint,
    prompt: str | None,
    unconditional: bool,
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
    """Measure a run: how likely it finds phrases it never saw, what it writes, whether it copies.

    \b
    tp report --run-id latest --unconditional
    tp report --run-id latest --prompt "the moon" --temperature 0.8 --html
    tp report --run-id latest --unconditional --metrics likelihood,unique_rate

    What is measured of samples stands beside the same for as many held-out and training phrases. A
    summary is printed; all of it is saved under the run, in reports/. Sampling flags left out come
    from the run's config, and so do the metrics.
    """
    if (prompt is None) != unconditional:
        raise click.UsageError("give either --prompt TEXT or --unconditional")
    wanted = {text: list(_parsed(text)) for text in metrics}
    from tp_core.runs.directory import find_run
    from tp_core.runs.summary import summarize

    run = find_run(runs_dir, run_id)
    from tp_core.cli.terminal import clean, emit_json, note
    from tp_core.report.make import ReportSettings, make_report
    from tp_core.report.save import save
    from tp_core.runs.opening import open_run

    loaded = open_run(run, checkpoint, strict_plugins=strict_plugins)
    note_plugin_drift(loaded)
    state = summarize(run)
    if state.status != "finished":
        note(
            f"run '{run.id}' is {state.status}, at step {state.step} of {state.max_steps}; this is "
            f"its checkpoint {checkpoint}, of step {loaded.step}"
        )
    flags = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    plan = with_samplers(loaded.plan, samplers, {k: v for k, v in flags.items() if v is not None})
    if wanted:
        plan = with_metrics(plan, wanted)
    settings = ReportSettings(
        checkpoint=checkpoint,
        plan=plan,
        prompt=prompt or "",
        prompt_ids=encode_prompt(loaded, prompt or ""),
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
    """The summary for a person: verdict, headline figures, a few samples."""
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


def with_metrics(
    plan: Plan, written: Mapping[str, Sequence[tuple[str, Mapping[str, str]]]]
) -> Plan:
    """The plan with these metrics: the names and options in each `--metrics`, by its text."""
    from tp_core.config.components import ComponentResolver
    from tp_core.config.overrides import read_component_options
    from tp_core.errors import Problem, TpError

    problems: list[Problem] = []
    resolved: list[ResolvedComponent | None] = []
    for text, entries in written.items():
        for name, options in entries:

            def add_problem(key: tuple[str, ...], message: str, place: str = text) -> None:
                dotted = ".".join(key).removesuffix("name")
                problems.append(Problem(dotted, message, f"--metrics {place}"))

            entry = read_component_options("metric", name, options, plan.catalogue)
            resolved.append(ComponentResolver(plan.catalogue, add_problem).one("metric", entry, ()))
    if problems:
        raise TpError("\n".join(map(str, problems)))
    return replace(plan, metrics=tuple(one for one in resolved if one is not None))


def _parsed(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The metrics in NAME,option=value,NAME,...: name and options, lists in brackets whole."""
    metric, options = "", dict[str, str]()
    for part in re.split(r",(?![^\[{]*[\]}])", text):
        name, equals, value = (one.strip() for one in part.partition("="))
        if equals and metric:
            options[name] = value
        elif equals or not name:
            raise click.UsageError(f"--metrics {text}: write it as NAME,option=value,NAME,...")
        else:
            if metric:
                yield metric, options
            metric, options = name, {}
    yield metric, options
