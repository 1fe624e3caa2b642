"""Another chain of samplers than a run's: as written on a command line. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tp_core.config.components import resolve_written
from tp_core.config.overrides import read_component_options
from tp_core.config.plan import Plan
from tp_core.errors import TpError

# The familiar flags, in the order their samplers stand in a chain: flag -> (sampler, its option).
FLAGS: Mapping[str, tuple[str, str]] = {
    "temperature": ("temperature", "temperature"),
    "top_k": ("top_k", "k"),
    "top_p": ("top_p", "p"),
    "min_p": ("min_p", "p"),
}


def with_samplers(plan: Plan, written: Sequence[str] = (), **flags: float | None) -> Plan:
    """The plan with another chain: `written` ones (`top_k,k=20`) replace it, and each of the
    `flags` that is not None sets its entry or adds one.

    Raises `TpError` where something is wrong with the chain.
    """
    chain: list[dict[str, Any]] = [dict(resolved.spec.as_data()) for resolved in plan.samplers]
    places = ["the run's config"] * len(chain)
    if written:
        parsed = [_parsed(text) for text in written]
        chain = [read_component_options("sampler", *one, plan.catalogue) for one in parsed]
        places = [f"--sampler {text}" for text in written]
    order = [name for name, _ in FLAGS.values()]
    for flag, value in flags.items():
        if value is None:
            continue
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
    entries = zip(chain, places, strict=True)
    return plan.with_components("sampler", resolve_written(plan.catalogue, "sampler", entries))


def _parsed(text: str) -> tuple[str, dict[str, str]]:
    """The name and the options of NAME,option=value,..."""
    # A comma parts two options only where another one begins: a list has commas of its own.
    name, *pairs = re.split(r",(?=\s*\w+\s*=)", text)
    if "," in name:
        raise TpError(f"--sampler {text}: write it as NAME,option=value,...")
    options = (pair.partition("=") for pair in pairs)
    return name.strip(), {option.strip(): value.strip() for option, _, value in options}
