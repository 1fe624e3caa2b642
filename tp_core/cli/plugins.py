"""`tp plugins`: list, show, create, check and test components. Imports no torch."""

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
    """List, show, create, check and test components."""


command.add_command(check_command)
command.add_command(new_command)
command.add_command(test_command)


@command.command("list")
@options.kind
@click.option(
    "--verbose",
    is_flag=True,
    help="Also show versions and import times.",
)
@options.as_json
def list_(kind: str | None, verbose: bool, as_json: bool) -> None:
    """List all components, and the plugins that failed to provide any.

    \b
    ok            available in a config by its name
    shadowed      a built-in has the same name: write 'distribution:name'
    ambiguous     several distributions use this name: write 'distribution:name'
    broken        the plugin can't be loaded
    incompatible  requires another version of tp; its code was not run
    disabled      by TP_DISABLE_PLUGINS=distribution,... (or *); its code was not run

    With --verbose, `ms` is the import time of the plugin and `torch` whether importing it imported
    torch, which slows down every command ('?' if an earlier plugin had already imported it).
    """
    rows = Catalogue().rows(kind)
    if as_json:
        emit_json({"components": [{**asdict(row), "kind": row.kind or None} for row in rows]})
        return
    columns = _VERBOSE if verbose else _COLUMNS
    table = [[cells[column] for column in columns] for cells in map(_cells, rows)]
    emit_table(columns, table, right=["ms"], sections="no components")
    if not rows:
        note("no components: pip install --force-reinstall transformer-playground")
    suspects = {row.distribution: None for row in rows if row.status == "broken"}
    if suspects:
        note(f"some plugins are broken; for details run: tp plugins check {next(iter(suspects))}")


def _cells(row: PluginRow) -> dict[str, str]:
    """The text of each column."""
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


@command.command(short_help="Describe a component and its options.")
@click.argument("name")
@options.kind
def show(name: str, kind: str | None) -> None:
    """Describe the component NAME and print its options as TOML for a config.

    NAME is written as in a config: 'rope', or 'distribution:rope' for a third-party component.
    """
    catalogue = Catalogue()
    found = _find(catalogue, name, tuple(KINDS) if kind is None else (kind,))
    # Imported here to keep `tp plugins list` fast.
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
    message = f"no component '{name}'.{did_you_mean(bare, known)} `tp plugins list` lists all"
    for row in catalogue.rows():
        if row.status in ("broken", "incompatible"):
            message += (
                f"\n  It may be in plugin '{row.name}' of {row.distribution}, which was not loaded "
                f"({row.status}): {row.summary}"
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
    if plugin.builtin:  # a built-in is never shadowed, so no other plugin has to be loaded
        return "ok"
    rows = catalogue.rows(registered.kind)
    mine = [r for r in rows if (r.distribution, r.name) == (plugin.distribution, name)]
    status = mine[0].status
    return status if status == "ok" else f"{status}: write '{registered.qualified}'"


def _needs(registered: RegisteredComponent) -> str:
    if registered.kind != "positional_encoding":
        return ""
    return ", ".join(registered.component.needs) or "none"


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
        return ", ".join(site for site in SITES if site in offered) or "none"
    except Exception as fault:  # a plugin's code, and options without a default
        return f"unknown: needs its options to be set ({type(fault).__name__})"
