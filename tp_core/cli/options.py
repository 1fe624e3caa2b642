"""Options shared by several commands, each with one spelling and one help text."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tp_core.kernel.kinds import KINDS

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]

# The default shown for an option whose value comes from the opened run.
_OF_THE_RUN = "the run's"

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
checkpoint = click.option(
    "--checkpoint",
    metavar="NAME",
    default="best_val",
    show_default=True,
    help="Checkpoint to load: best_val, last, or one saved by a callback, such as ema.",
)
kind = click.option("--kind", type=click.Choice(list(KINDS)), help="Only components of this kind.")
max_new_tokens = click.option(
    "--max-new-tokens",
    type=click.IntRange(min=1),
    show_default=_OF_THE_RUN,
    help="Maximum number of tokens to generate.",
)
overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a config key (repeatable).",
)
run_id = click.option(
    "--run-id",
    default="latest",
    show_default=True,
    help="Run id, a unique prefix of it, or 'latest'.",
)
runs_dir = click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Directory containing the runs.",
)
strict_plugins = click.option(
    "--strict-plugins",
    is_flag=True,
    help="Fail if installed plugins differ from the ones the run was trained with.",
)


def run_ids(flag: str) -> Decorator[Any]:
    """An option that takes several run ids, passed to the command as the list `ids`."""

    def split(ctx: click.Context, param: click.Parameter, text: str) -> list[str]:
        return [part.strip() for part in text.split(",") if part.strip()]

    return click.option(
        flag,
        "ids",
        required=True,
        metavar="ID[,ID...]",
        callback=split,
        help="Comma-separated run ids or unique prefixes; 'latest' also works.",
    )


def n_samples(default: int) -> Decorator[Any]:
    return click.option(
        "--n-samples",
        type=click.IntRange(min=1),
        default=default,
        show_default=True,
        help="Number of samples.",
    )


def seed(default: int | None = None) -> Decorator[Any]:
    """The `--seed` option; without a default, the run's seed is used."""
    return click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=default,
        show_default=True if default is not None else _OF_THE_RUN,
        help="Random seed.",
    )


def prompt(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--prompt` or `--unconditional`, exactly one of which is required.

    The command receives `prompt`, which is empty for `--unconditional`.
    """

    @click.option("--prompt", help="Text to continue.")
    @click.option("--unconditional", is_flag=True, help="Generate without a prompt.")
    @functools.wraps(command)
    def checked(*, prompt: str | None, unconditional: bool, **others: Any) -> Any:
        if (prompt is None) != unconditional:
            raise click.UsageError("specify either --prompt TEXT or --unconditional")
        return command(prompt=prompt or "", **others)

    return checked


def samplers(command: Function) -> Function:
    """Sampling options: `--sampler`, and shortcuts for the common samplers."""
    options: tuple[Decorator[Any], ...] = (
        click.option(
            "--temperature",
            type=click.FloatRange(min=0),
            help="Sampling temperature; 0 is greedy decoding.",
        ),
        click.option(
            "--top-k", type=click.IntRange(min=1), help="Keep only the k most likely tokens."
        ),
        click.option(
            "--top-p",
            type=click.FloatRange(min=0, max=1, min_open=True),
            help="Keep the most likely tokens up to this total probability.",
        ),
        click.option(
            "--min-p",
            type=click.FloatRange(min=0, max=1),
            help="Drop tokens whose probability is below this fraction of the largest one.",
        ),
        click.option(
            "--sampler",
            "samplers",
            multiple=True,
            metavar="NAME[,OPTION=VALUE...]",
            help="Sampler to use instead of the run's (repeatable; applied in order).",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
