"""`tp plugins`: which components there are, and what each of them takes. Imports no torch."""

from __future__ import annotations

from dataclasses import asdict

import click

from tp_core.cli import options
from tp_core.cli.command_groups import Group
from tp_core.cli.plugins_check import command as check_command
from tp_core.cli.plugins_new import command as new_command
from tp_core.cli.plugins_test import command as test_command
from tp_core.cli.terminal import emit, emit_json, emit_table, note, one_line
from tp_core.errors import did_you_mean
from tp_core.kernel.catalogue import (
    Catalogue,
    PluginRow,
    RegisteredComponent,
    UnknownComponent,
    UnknownDistribution,
)
from tp_core.kernel.component import SITES
from tp_core.kernel.kinds import KINDS
from tp_core.kernel.loading import locate
from tp_core.kernel.options import Dims

_COLUMNS = ("kind", "name", "distribution", "status", "summary")
_VERBOSE = ("kind", "name", "distribution", "version", "status", "ms", "torch", "summary")


@click.group(cls=Group)
def command() -> None:
    """List, describe, write, check and test components."""


command.add_command(check_command)
command.add_command(new_command)
command.add_command(test_command)


@command.command("list")
@options.kind
@click.option("--verbose", is_flag=True, help="Also show versions and load times.")
@options.as_json
def list_(kind: str | None, verbose: bool, as_json: bool) -> None:
    """List every component, and every plugin that brings none, with the reason.

    \b
    ok            a config reaches it by its name
    shadowed      a built-in has its name: write 'distribution:name'
    ambiguous     another distribution has its name too: write 'distribution:name'
    broken        its plugin can't be loaded
    incompatible  its distribution is for another version of tp; none of its code ran
    disabled      by TP_DISABLE_PLUGINS=distribution,... (or *); none of its code ran

    With --verbose, the columns `ms` and `torch` say how long importing its plugin took, and whether
    that imported torch, which makes every command slow ('?' after another plugin has done so).
    """
    rows = Catalogue().rows(kind)
    if as_json:
        emit_json({"components": [{**asdict(row), "kind": row.kind or None} for row in rows]})
        return
    columns = _VERBOSE if verbose else _COLUMNS
    table = [[cells[column] for column in columns] for cells in map(_cells, rows)]
    emit_table(columns, table, right=["ms"], sections="no component")
    if not rows:
        note("there are no components: pip install --force-reinstall transformer-playground")
    suspects = {row.distribution: None for row in rows if row.status == "broken"}
    if suspects:
        note(f"broken: `tp plugins check {next(iter(suspects))}` says more")


def _cells(row: PluginRow) -> dict[str, str]:
    """What each column says of a plugin's component."""
    cells = {
        "kind": row.kind,
        "name": row.name,
        "distribution": row.distribution,
        "version": row.version,
        "status": row.status,
        "ms": "",
        "torch": "",
        "summary": row.summary,
    }
    if row.import_ms is not None:
        torch = {True: "yes", False: "no", None: "?"}[row.imports_torch]
        cells |= {"ms": f"{row.import_ms:.1f}", "torch": torch}
    return cells


@command.command()
@click.argument("name")
@options.kind
def show(name: str, kind: str | None) -> None:
    """Describe the component NAME, with its options as TOML to paste into a config.

    NAME is written as in a config: `rope`, or `distribution:rope` for a third party's.
    """
    catalogue = Catalogue()
    found = _find(catalogue, name, tuple(KINDS) if kind is None else (kind,))
    # Listing needs none of this, and should cost little more than importing pydantic.
    from tp_core.cli.option_block import option_block

    pages = ("\n".join((_description(catalogue, r), "", option_block(r))) for r in found)
    emit("\n\n".join(pages))


def _find(catalogue: Catalogue, name: str, kinds: tuple[str, ...]) -> list[RegisteredComponent]:
    found: list[RegisteredComponent] = []
    refusals: dict[str, UnknownComponent] = {}
    for kind in kinds:
        try:
            found.append(catalogue.find(kind, name))
        except UnknownDistribution:
            raise
        except UnknownComponent as error:
            refusals[kind] = error
    if found:
        return found
    several = [k for k in kinds if any(name in one.names for one in catalogue.loaded(k))]
    if several or len(kinds) == 1:
        raise refusals[several[0] if several else kinds[0]]
    bare = name.rpartition(":")[2]
    known = [word for kind in kinds for one in catalogue.loaded(kind) for word in one.names]
    message = f"no component '{name}'.{did_you_mean(bare, known)} `tp plugins list` shows them all"
    for row in catalogue.rows():
        if row.status in ("broken", "incompatible"):
            message += (
                f"\n  Not loaded, so it may be there: plugin '{row.name}' of {row.distribution} "
                f"is {row.status}: {row.summary}"
            )
    raise UnknownComponent(message)


def _description(catalogue: Catalogue, registered: RegisteredComponent) -> str:
    component, plugin = registered.component, registered.plugin
    facts = {
        "summary": component.summary,
        "paper": component.paper,
        "from": f"{plugin.distribution} {plugin.version}",
        "status": _status(catalogue, registered),
        "aliases": ", ".join(component.aliases),
        "needs": _needs(registered),
        "offers": _offers(registered),
        "target": component.target,
        "file": locate(component.target.partition(":")[0]) or "not found",
    }
    lines = [f"{registered.qualified} ({registered.kind})"]
    lines += [f"  {word:<8} {one_line(text)}" for word, text in facts.items() if text]
    return "\n".join(lines)


def _status(catalogue: Catalogue, registered: RegisteredComponent) -> str:
    plugin, name = registered.plugin, registered.component.name
    if plugin.builtin:  # their names are theirs, so nobody else's code need run
        return "ok"
    rows = catalogue.rows(registered.kind)
    mine = [r for r in rows if (r.distribution, r.name) == (plugin.distribution, name)]
    status = mine[0].status
    return status if status == "ok" else f"{status}: write '{registered.qualified}'"


def _needs(registered: RegisteredComponent) -> str:
    if registered.kind != "positional_encoding":
        return ""
    return ", ".join(registered.component.needs) or "no site"


def _offers(registered: RegisteredComponent) -> str:
    """The sites an attention offers at the sizes a config has by default."""
    from tp_core.config.schema import ModelConfig

    if registered.kind != "attention":
        return ""
    d_model, n_layers, n_heads, max_seq_len = (
        ModelConfig.model_fields[name].default
        for name in ("d_model", "n_layers", "n_heads", "max_seq_len")
    )
    dims = Dims(
        dim=d_model,
        d_model=d_model,
        n_layers=n_layers,
        n_heads=n_heads,
        head_dim=d_model // n_heads,
        max_seq_len=max_seq_len,
    )
    try:
        offered = registered.component.options().offers(dims)
        return ", ".join(site for site in SITES if site in offered) or "no site"
    except Exception as fault:  # a plugin's code, and options without a default
        return f"unknown without its options ({type(fault).__name__})"
