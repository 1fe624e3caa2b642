"""Configs for tests: the smallest that passes, changed at will, and what is wrong with others."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tp_core.config.plan import Plan, load_plan, make_plan
from tp_core.config.read_file import Source
from tp_core.errors import ConfigError, Problem
from tp_core.kernel.catalogue import Catalogue

CONFIGS = Path(__file__).parents[2] / "configs"
DEFAULT = CONFIGS / "default.toml"

SMALLEST: dict[str, Any] = {
    "model": {
        "positional_encoding": "rope",
        "attention": "softmax",
        "norm": "rmsnorm",
        "mlp": "gelu",
        "block": "pre",
    },
    "train": {"optimizer": "adamw", "schedule": "constant"},
    "sampling": {"samplers": ["temperature", {"name": "top_p", "p": 0.5}]},
    "report": {"metrics": []},
}


def config(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The smallest config with tables of `changes` laid over its own."""
    data = copy.deepcopy(SMALLEST)
    for section, table in (changes or {}).items():
        data[section] = {**data.get(section, {}), **table} if isinstance(table, dict) else table
    return data


def plan_of(
    changes: Mapping[str, Any] | None = None, *sets: str, catalogue: Catalogue | None = None
) -> Plan:
    return make_plan(Source(config(changes), Path("my.toml"), lambda key: None), sets, catalogue)


def problems_of(
    changes: Mapping[str, Any] | None = None, *sets: str, catalogue: Catalogue | None = None
) -> list[Problem]:
    """Everything a config with `changes` is refused for."""
    with pytest.raises(ConfigError) as caught:
        plan_of(changes, *sets, catalogue=catalogue)
    return list(caught.value.problems)


def problem_of(
    changes: Mapping[str, Any] | None = None, *sets: str, catalogue: Catalogue | None = None
) -> Problem:
    """The one thing a config with `changes` is refused for."""
    (problem,) = problems_of(changes, *sets, catalogue=catalogue)
    return problem


def file_problems(path: Path, *sets: str, catalogue: Catalogue | None = None) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load_plan(path, sets, catalogue)
    return list(caught.value.problems)


__all__ = [
    "CONFIGS",
    "DEFAULT",
    "config",
    "file_problems",
    "plan_of",
    "problem_of",
    "problems_of",
]
