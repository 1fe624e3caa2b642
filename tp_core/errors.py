"""Errors that are reported to the user in a few lines, without a traceback.

Every expected failure is a `TpError`: its message says where the problem is and what to do about
it, and `exit_code` is the exit code of `tp`. Any other exception that escapes is a bug in `tp`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class TpError(Exception):
    """Invalid input or configuration: printed without a traceback, exit code 2."""

    exit_code = 2


class RunFailed(TpError):
    """The input was valid but the operation failed: exit code 1."""

    exit_code = 1


class Diverged(TpError):
    """Training produced a non-finite loss or gradient: exit code 3."""

    exit_code = 3


@dataclass(frozen=True)
class Problem:
    """One problem in a config.

    `key` is the dotted path (`model.attention.n_kv_heads`; empty for the whole file) and `place`
    where it was written (`my.toml:12` or `--set model.n_heads=5`; empty for a missing key).
    `missing` marks a required component, or list of components, that the config doesn't have.
    """

    key: str
    message: str
    place: str = ""
    missing: bool = False

    def __str__(self) -> str:
        head = ": ".join(part for part in (self.place, self.key) if part)
        return f"{head}: {self.message}" if head else self.message


class UnusableRun(TpError):
    """A run that can't be opened; the message names it."""


class ConfigError(TpError):
    """All problems of a config, in one error."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the closest match in `known`, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""
