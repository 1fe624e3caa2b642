"""`tp runs`: list, show and delete runs. Imports no torch."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from tp_core.cli import options
from tp_core.cli.command_groups import Group
from tp_core.cli.terminal import emit, emit_json, emit_table, note, one_line, warn
from tp_core.errors import TpError
from tp_core.files import read_json
from tp_core.plain_data import brief, leaves
from tp_core.runs.directory import RunDir, find_run, is_locked, remove_run, runs_in
from tp_core.runs.query import FIGURES, Condition, FoundRun, find_runs
from tp_core.runs.requirements import requirements
from tp_core.runs.summary import RunSummary, summarize


@click.group(cls=Group)
def command() -> None:
    """List, show and delete runs."""


@command.command("list")
@options.runs_dir
@click.option(
    "--where",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only runs with this config value, such as model.attention=softmax (repeatable).",
)
@click.option(
    "--sort",
    metavar="KEY",
    help=f"Sort by {', '.join(FIGURES)}, or a config key.",
)
@click.option("--reverse", is_flag=True, help="Reverse the sort order.")
@options.as_json
def list_(
    runs_dir: Path, where: tuple[str, ...], sort: str | None, reverse: bool, as_json: bool
) -> None:
    """List all runs, oldest first.

    Loss is the best validation loss, in nats per token; bits/byte is from the same evaluation.
    A generated run id is the run's start time in UTC; `tp runs show` prints the start time of any
    run. Config keys used in --where or --sort get a column.
    """
    conditions = [Condition.parse(text) for text in where]
    there = runs_in(runs_dir)
    runs = find_runs(there, conditions, sort, reverse)
    keys = [condition.key for condition in conditions]
    keys = list(dict.fromkeys([*keys, *([sort] if sort and sort not in FIGURES else [])]))
    if as_json:
        rows = [
            {**_as_data(run.summary), **({"config": _picked(run, keys)} if keys else {})}
            for run in runs
        ]
        emit_json({"runs": rows})
    elif runs:
        numbers = ("step", "loss", "bits/byte", "parameters")
        emit_table(
            ("id", "status", *numbers, *keys),
            [(*_row(run.summary), *(_cell(run.get(key)) for key in keys)) for run in runs],
            right=numbers,
        )
    elif there:
        note(f"none of the {len(there)} runs in '{runs_dir}' matches --where")
    else:
        note(f"no runs in '{runs_dir}'; start one with `tp train --config FILE`")


def _cell(value: Any) -> str:
    return "" if value is None else brief(value)


def _picked(run: FoundRun, keys: Sequence[str]) -> dict[str, Any]:
    return {key: run.get(key) for key in keys}


@command.command("rm")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@options.runs_dir
@click.option("--yes", is_flag=True, help="Skip the confirmation; requires full run ids.")
def rm(ids: tuple[str, ...], runs_dir: Path, yes: bool) -> None:
    """Delete runs and all their files, after confirmation. Refuses if one is still training."""
    runs = list({run.id: run for run in (find_run(runs_dir, id_) for id_ in ids)}.values())
    cut = sorted({run.id for run in runs} - set(ids))
    if yes and cut:
        raise TpError(f"--yes requires full run ids: write {', '.join(cut)}")
    for run in runs:
        if is_locked(run):
            raise TpError(f"run '{run.id}' is still training; nothing was deleted: stop it first")
    if not yes:
        if not sys.stdin.isatty():
            raise TpError("nothing was deleted: stdin is not a terminal, so confirm with --yes")
        names = ", ".join(run.id for run in runs)
        click.confirm(f"Delete {names} from '{runs_dir}'?", abort=True, err=True)
    for run in runs:
        remove_run(run)
        note(f"deleted {run.path}")


@command.command()
@click.argument("id_", metavar="ID")
@options.runs_dir
@options.as_json
def show(id_: str, runs_dir: Path, as_json: bool) -> None:
    """Show a run's config, results, components and provenance.

    ID is a run id, a unique prefix of it, or 'latest'.
    """
    run = find_run(runs_dir, id_)
    summary = summarize(run)
    files: dict[str, Mapping[str, Any] | None] = {}
    for path in (run.config_path, run.summary_path, run.provenance_path):
        files[path.stem] = None
        if path.exists():
            try:
                files[path.stem] = read_json(path)
            except TpError as error:  # the other files are still worth showing
                warn(str(error))
    stored = [
        path for path in (run.best_val_path, run.last_path, run.previous_path) if path.exists()
    ]
    sizes = {path.relative_to(run.path).as_posix(): path.stat().st_size for path in stored}
    provenance = dict(files["provenance"] or {})
    listed = provenance.pop("components", None)
    if isinstance(words := provenance.get("command"), list):
        provenance["command"] = shlex.join(map(str, words))
    records = [one for one in _list(listed) if isinstance(one, Mapping)]
    if as_json:
        checkpoints = [{"file": name, "bytes": size} for name, size in sizes.items()]
        facts = {"path": str(run.path), **_as_data(summary), "checkpoints": checkpoints}
        emit_json({"run": facts, "requirements": requirements(records), **files})
        return
    sections = {
        "": _head(run, summary),
        "config": _config_lines(files["config"] or {}),
        "summary": _figures(files["summary"] or {}),
        "components": [*map(_component_line, records)],
        "plugin requirements (pip install -r)": requirements(records),
        "provenance": _figures(provenance),
        "checkpoints": [
            f"{name}: {_short(size, (' B', ' kB', ' MB', ' GB'))}" for name, size in sizes.items()
        ],
    }
    paragraphs = [
        "\n".join([title, *(f"  {one_line(line)}" for line in lines)] if title else lines)
        for title, lines in sections.items()
        if lines
    ]
    emit("\n\n".join(paragraphs))


def _as_data(run: RunSummary) -> dict[str, Any]:
    return {**asdict(run), "created": run.created.isoformat()}


def _row(run: RunSummary) -> tuple[str, ...]:
    return (
        run.id,
        run.status,
        _steps(run),
        _figure(run.best_val_loss),
        _figure(run.best_val_bits_per_byte),
        "" if run.parameters is None else _short(run.parameters, ("", "k", "M", "G")),
    )


def _steps(run: RunSummary) -> str:
    return f"{'?' if run.step is None else run.step}/{run.max_steps or '?'}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _short(count: int, units: Sequence[str]) -> str:
    """Three digits and a unit: `28.7k`."""
    size, index = float(count), 0
    while size >= 999.5 and index + 1 < len(units):
        size, index = size / 1000, index + 1
    return f"{size:.3g}{units[index]}"


def _head(run: RunDir, summary: RunSummary) -> list[str]:
    lines = [f"{summary.id}: {summary.status}, step {_steps(summary)}"]
    if summary.best_val_loss is not None:
        lines.append(
            f"best validation loss {_figure(summary.best_val_loss)}"
            f" ({_figure(summary.best_val_bits_per_byte) or '?'} bits/byte)"
        )
    return [*lines, f"in {run.path}, started {summary.created.astimezone():%Y-%m-%d %H:%M}"]


def _config_lines(config: Mapping[str, Any]) -> list[str]:
    """A line for each section: its plain settings, and the names of its components."""
    lines = []
    for section, table in config.items():
        if isinstance(table, Mapping):
            words = [
                f"{key}={brief(value)}" for key, value in table.items() if value not in ({}, [])
            ]
            lines.append(f"{section}: {' '.join(words)}")
    return lines


def _figures(data: Mapping[str, Any]) -> list[str]:
    """Everything in nested plain data, a line each: `outer.inner = value`."""
    return [
        f"{key} = {f'{value:.6g}' if isinstance(value, float) else brief(value)}"
        for key, value in leaves(data, opened=lambda items: True)
    ]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _component_line(one: Mapping[str, Any]) -> str:
    return (
        f"{one.get('kind', '?')}: {one.get('name', '?')}, "
        f"from {one.get('distribution', '?')} {one.get('version', '?')}"
    )
