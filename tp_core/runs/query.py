"""Choosing among runs by what their configs say. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tp_core.config.parse_value import parse_value
from tp_core.errors import TpError, did_you_mean
from tp_core.files import json_or_empty
from tp_core.plain_data import at, name_of
from tp_core.runs.directory import RunDir
from tp_core.runs.summary import RunSummary, summarize

# What a run can be sorted by beside its config, and where its summary says it.
FIGURES = {
    "id": "id",
    "created": "created",
    "status": "status",
    "step": "step",
    "loss": "best_val_loss",
    "bits_per_byte": "best_val_bits_per_byte",
    "parameters": "parameters",
}
_MISSING = object()


@dataclass(frozen=True)
class FoundRun:
    """A run with its config as written; empty where that can't be read."""

    summary: RunSummary
    config: Mapping[str, Any]

    def get(self, key: str) -> Any:
        """The value at a figure's name or a config key; None where there is none."""
        if key in FIGURES:
            return getattr(self.summary, FIGURES[key])
        return at(self.config, key)


@dataclass(frozen=True)
class Condition:
    """`key=value`: the config has this value at this key; a component is meant by its name."""

    key: str
    value: Any

    @classmethod
    def parse(cls, text: str) -> Condition:
        """From `model.attention=softmax`. Raises `TpError` where it isn't of that form."""
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise TpError(f"--where '{text}': write it as section.key=value")
        return cls(key.strip(), parse_value(value))

    def holds(self, run: FoundRun) -> bool:
        value = at(run.config, self.key, _MISSING)
        return value is not _MISSING and name_of(value) == self.value


def find_runs(
    runs: Iterable[RunDir], where: Sequence[Condition], sort: str | None, reverse: bool
) -> list[FoundRun]:
    """The runs that meet every condition, by date or by `sort`; those without that value last.

    Raises `TpError` for a key that no run's config has.
    """
    found = [FoundRun(summarize(run), json_or_empty(run.config_path)) for run in runs]
    for key in [condition.key for condition in where] + ([sort] if sort else []):
        _check(key, found, figures=key == sort)
    found = [run for run in found if all(condition.holds(run) for condition in where)]
    found.sort(key=lambda run: (run.summary.created, run.summary.id), reverse=reverse and not sort)
    if sort:
        having = [run for run in found if run.get(sort) is not None]
        # Text and numbers may stand at one key of different runs: each among its own.
        having.sort(key=lambda run: _order(name_of(run.get(sort))), reverse=reverse)
        found = having + [run for run in found if run.get(sort) is None]
    return found


def _order(value: Any) -> tuple[int, float, str]:
    if isinstance(value, (int, float)):
        return (0, float(value), "")
    return (1, 0.0, str(value))


def _check(key: str, runs: Sequence[FoundRun], figures: bool) -> None:
    """Raise `TpError` for a key that is in no config: it is a slip, not an empty answer."""
    if not runs or (figures and key in FIGURES):
        return
    if all(at(run.config, key, _MISSING) is _MISSING for run in runs):
        known = {name for run in runs for name in _keys(run.config)} | (
            set(FIGURES) if figures else set()
        )
        others = f" Beside config keys there are {', '.join(FIGURES)}." if figures else ""
        raise TpError(f"no run's config has '{key}'.{did_you_mean(key, sorted(known))}{others}")


def _keys(node: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    for name, value in node.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{name}.")
