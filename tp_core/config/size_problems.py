"""What components have against the sizes they are to be built for. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tp_core.config.source_lines import KeyPath
from tp_core.kernel.options import Dims, Options
from tp_core.kernel.tracebacks import raised_at, summary

# The settings each size comes from.
_SETTINGS: Mapping[str, tuple[KeyPath, ...]] = {
    "dim": (("model", "d_model"),),
    "d_model": (("model", "d_model"),),
    "head_dim": (("model", "d_model"), ("model", "n_heads")),
    "n_heads": (("model", "n_heads"),),
    "n_layers": (("model", "n_layers"),),
    "max_seq_len": (("model", "max_seq_len"),),
    "max_steps": (("train", "max_steps"),),
    "eval_interval": (("train", "eval_interval"),),
}


class SizeProblem(NamedTuple):
    """One thing a component has against its sizes; `blame` are the settings it was found by."""

    message: str
    blame: frozenset[KeyPath] = frozenset()


@dataclass(frozen=True)
class _WatchedDims(Dims):
    """Sizes that know which of them were read."""

    read: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def __getattribute__(self, name: str) -> Any:
        if name in _SETTINGS:
            self.read.add(name)
        return super().__getattribute__(name)


def size_problems(options: Options, dims: Dims) -> list[SizeProblem]:
    """A component's `problems`; where its code fails, that is the one.

    A generator reads the sizes of one problem after the other, anything else all of them at first.
    """
    watched = _WatchedDims(**vars(dims))
    found = []
    try:
        problems = options.problems(watched)
        first = _settings(watched.read)
        for message in [problems] if isinstance(problems, str) else problems:
            found.append(SizeProblem(str(message), first | _settings(watched.read)))
            watched.read.clear()
    except Exception as error:
        return [SizeProblem(f"problems() failed: {failure(error)}", _settings(watched.read))]
    return found


def failure(error: Exception) -> str:
    """An error and the line of the component it came from."""
    return f"{summary(error)} ({raised_at(error)})"


def _settings(sizes: Iterable[str]) -> frozenset[KeyPath]:
    return frozenset(key for size in sizes for key in _SETTINGS[size])
