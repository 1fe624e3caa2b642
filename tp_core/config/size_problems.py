"""Problems that components report for the sizes they would be built with. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tp_core.config.source_lines import KeyPath
from tp_core.kernel.options import Dims, Options
from tp_core.kernel.tracebacks import raised_at, summary

# The settings that determine each size.
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
    """One problem with the sizes; `blame` lists the settings that may have caused it."""

    message: str
    blame: frozenset[KeyPath] = frozenset()


@dataclass(frozen=True)
class _WatchedDims(Dims):
    """Sizes that record which of them were read."""

    read: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def __getattribute__(self, name: str) -> Any:
        if name in _SETTINGS:
            self.read.add(name)
        return super().__getattribute__(name)


def size_problems(options: Options, dims: Dims) -> list[SizeProblem]:
    """The problems of a component's `problems`; if that raises, the error is the only problem.

    A generator reads the sizes for each problem in turn, anything else reads all sizes up front.
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
    """An error with the line of the component that raised it."""
    return f"{summary(error)} ({raised_at(error)})"


def _settings(sizes: Iterable[str]) -> frozenset[KeyPath]:
    return frozenset(key for size in sizes for key in _SETTINGS[size])
