"""`tp config`: check a config without training. Imports no torch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from tp_core.cli import options
from tp_core.cli.command_groups import Group
from tp_core.cli.terminal import emit, emit_json
from tp_core.config.plan import Plan, load_plan
from tp_core.errors import ConfigError


@click.group(cls=Group)
def command() -> None:
    """Check a config without training."""


@command.command(short_help="Report every problem in a config file.")
@click.argument("file", type=click.Path(path_type=Path))
@options.overrides
@options.as_json
@click.pass_context
def check(ctx: click.Context, file: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check FILE (.toml, .py, or a run's config.json) and report every problem.

    Checks keys, sizes, component options and component compatibility; the data is not read.
    """
    try:
        plan = load_plan(file, overrides)
    except ConfigError as error:
        if not as_json:
            raise
        problems = [
            {"key": problem.key, "message": problem.message, "place": problem.place}
            for problem in error.problems
        ]
        emit_json({"ok": False, "file": str(file), "problems": problems})
        ctx.exit(error.exit_code)
    if as_json:
        emit_json({"ok": True, "file": str(file), "problems": [], **_facts(plan)})
    else:
        emit(f"OK: {file}: {_counts(plan)}")


def _facts(plan: Plan) -> dict[str, object]:
    components = [
        {
            "kind": chosen.kind,
            "name": chosen.name,
            "distribution": chosen.registered.plugin.distribution,
            "version": chosen.registered.plugin.version,
        }
        for chosen in plan.components()
    ]
    return {"layers": len(plan.layers), "components": components}


def _counts(plan: Plan) -> str:
    layers = _number(len(plan.layers), "layer")
    components = plan.components()
    sources = Counter(c.registered.plugin.distribution for c in components)
    return f"{layers}, {_number(len(components), 'component')} from {', '.join(sorted(sources))}"


def _number(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
