"""What components have against the sizes they are to be built for. Torch-free."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tp_core.config.source_lines import KeyPath
from tp_core.kernel.options import Dims, Options

# The settings each size comes from.
_SETTINGS: Mapping[str, tuple[KeyPath, ...]] = {
    "dim": (("model", "d_model"),),
    "d_model": (("model", "d_model"),),
    "head_dim": (("model", "d_model"), ("model", "n_heads")),
    "n_heads": (("model", "n_heads"),),
    "n_layers": (("model", "n_layers"),),
    "max_seq_len": (("model", "max_seq_len"),),
    "max_steps": (("train", "max_steps"),),
}


class Complaint(NamedTuple):
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


def complaints(options: Options, dims: Dims) -> list[Complaint]:
    """A component's `problems`; where its code fails, that is the one.

    A generator reads the sizes of one problem after the other, anything else all of them at first.
    """
    watched = _WatchedDims(**vars(dims))
    found = []
    try:
        problems = options.problems(watched)
        first = _settings(watched.read)
        for message in [problems] if isinstance(problems, str) else problems:
            found.append(Complaint(str(message), first | _settings(watched.read)))
            watched.read.clear()
    except Exception as error:
        return [Complaint(f"problems() failed: {failure(error)}", _settings(watched.read))]
    return found


def failure(error: Exception) -> str:
    """An error and the line of the component it came from."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"


def _settings(sizes: Iterable[str]) -> frozenset[KeyPath]:
    return frozenset(key for size in sizes for key in _SETTINGS[size])
