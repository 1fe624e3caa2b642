"""What a user did that cannot work, said in a few lines.

Every expected failure is a `TpError`: its text names the place and the next thing to do, and its
`exit_code` is what `tp` ends with. Anything else that escapes is a bug in `tp`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class TpError(Exception):
    """Bad input or configuration: printed without a traceback, exit code 2."""

    exit_code = 2


class RunFailed(TpError):
    """The input was fine and the work failed all the same: exit code 1."""

    exit_code = 1


class Diverged(TpError):
    """Training produced a non-finite loss or gradient: exit code 3."""

    exit_code = 3


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a config.

    `key` is the dotted path (`model.attention.n_kv_heads`, empty for the whole file), `place` where
    it was written (`my.toml:12` or `--set model.n_heads=5`), empty where it was left out;
    `missing` says that it is a component, or a list of them, of which the config has none.
    """

    key: str
    message: str
    place: str = ""
    missing: bool = False

    def __str__(self) -> str:
        head = ": ".join(part for part in (self.place, self.key) if part)
        return f"{head}: {self.message}" if head else self.message


class UnusableRun(TpError):
    """A run that can't be opened; the text names it."""


class ConfigError(TpError):
    """Everything that is wrong with a config, in one report."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest of `known`, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""
