"""Click groups that list their commands without importing them and guess at a misspelt one."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import NamedTuple

import click

from tp_core.errors import did_you_mean


class Lazy(NamedTuple):
    """Where a command's object is, and the line `--help` says about it."""

    module: str
    attribute: str
    help: str


class Group(click.Group):
    """A group of commands; an unknown one gets the nearest name as a hint."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, known = args[0], self.list_commands(ctx)
        # What looks like an option is left to click, which has its own words for that.
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            hint = did_you_mean(name, known) or f" There are: {', '.join(known)}."
            raise click.UsageError(f"no command '{name}'.{hint}", ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """A group over a table of commands; a command's module is imported when it is invoked."""

    def __init__(self, table: Mapping[str, Lazy], help: str) -> None:
        super().__init__("tp", help=help)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        lazy = self.table[cmd_name]
        command = getattr(importlib.import_module(lazy.module), lazy.attribute)
        assert isinstance(command, click.Command), f"{lazy.module}.{lazy.attribute}: no command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.help) for name, lazy in self.table.items()])
