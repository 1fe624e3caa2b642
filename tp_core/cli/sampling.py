"""What commands that sample share: the familiar flags, the chain they make, the prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from tp_core.config.components import ResolvedComponent
    from tp_core.config.plan import Plan
    from tp_core.runs.opening import LoadedRun

Function = TypeVar("Function", bound=Callable[..., Any])

# The familiar flags, in the order their samplers stand in a chain: flag -> (sampler, its option).
FLAGS: Mapping[str, tuple[str, str]] = {
    "temperature": ("temperature", "temperature"),
    "top_k": ("top_k", "k"),
    "top_p": ("top_p", "p"),
    "min_p": ("min_p", "p"),
}


def sampling_options(command: Function) -> Function:
    """The options of a command that says how to sample: length, the familiar flags, a chain."""
    options = (
        click.option("--max-new-tokens", type=click.IntRange(min=1), help="Most tokens to add."),
        click.option("--temperature", type=click.FloatRange(min=0), help="0 is greedy."),
        click.option("--top-k", type=click.IntRange(min=1)),
        click.option("--top-p", type=click.FloatRange(min=0, max=1, min_open=True)),
        click.option("--min-p", type=click.FloatRange(min=0, max=1)),
        click.option(
            "--sampler",
            "samplers",
            multiple=True,
            metavar="NAME[,OPTION=VALUE...]",
            help="A chain of samplers in place of the config's (repeatable).",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def encode_prompt(loaded: LoadedRun, prompt: str) -> list[int]:
    """The prompt's ids. Raises `TpError` where it can't be encoded or fills the context."""
    from tp_core.errors import TpError

    ids = loaded.tokenizer.encode(prompt)
    room = loaded.plan.config.model.max_seq_len - 1  # beside the start token
    if len(ids) > room:
        raise TpError(
            f"the prompt is {len(ids)} tokens long; this model's context "
            f"(max_seq_len = {room + 1}, start token included) has room for {room}"
        )
    return ids


def with_samplers(plan: Plan, written: tuple[str, ...], flags: Mapping[str, float]) -> Plan:
    """The plan with another chain: `written` ones replace it, `flags` set or add their entry."""
    from tp_core.config.components import ComponentResolver
    from tp_core.config.overrides import read_component_options
    from tp_core.errors import Problem, TpError

    chain: list[dict[str, Any]] = [dict(resolved.spec.as_data()) for resolved in plan.samplers]
    places = ["the run's config"] * len(chain)
    if written:
        parsed = [_parsed(text) for text in written]
        chain = [read_component_options("sampler", *one, plan.catalogue) for one in parsed]
        places = [f"--sampler {text}" for text in written]
    order = [name for name, _ in FLAGS.values()]
    for flag, value in flags.items():
        name, option = FLAGS[flag]
        at = next((i for i, one in enumerate(chain) if one["name"] == name), None)
        if at is None:
            # Before the first of the familiar ones that comes later, or at the end.
            later = order[order.index(name) + 1 :]
            at = next((i for i, one in enumerate(chain) if one["name"] in later), len(chain))
            chain.insert(at, {"name": name})
            places.insert(at, "")
        chain[at][option] = value
        places[at] = f"--{flag.replace('_', '-')} {value:g}"
    problems: list[Problem] = []
    resolved: list[ResolvedComponent | None] = []
    for entry, place in zip(chain, places, strict=True):

        def add_problem(key: tuple[str, ...], message: str, place: str = place) -> None:
            problems.append(Problem(".".join(key).removesuffix("name"), message, place))

        resolved.append(ComponentResolver(plan.catalogue, add_problem).one("sampler", entry, ()))
    if problems:
        raise TpError("\n".join(map(str, problems)))
    return replace(plan, samplers=tuple(one for one in resolved if one is not None))


def _parsed(text: str) -> tuple[str, dict[str, str]]:
    """The name and the options of NAME,option=value,..."""
    # A comma parts two options only where another one begins: a list has commas of its own.
    name, *pairs = re.split(r",(?=\s*\w+\s*=)", text)
    if "," in name:
        raise click.UsageError(f"--sampler {text}: write it as NAME,option=value,...")
    options = (pair.partition("=") for pair in pairs)
    return name.strip(), {option.strip(): value.strip() for option, _, value in options}
