"""The results of checking a distribution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """One problem: where it is, what is wrong, and how to fix it.

    An `error` keeps something from working; a `warning` doesn't. `stops` marks a problem after
    which further checks make no sense.
    """

    place: str
    message: str
    hint: str = ""
    level: Literal["error", "warning"] = "error"
    stops: bool = False

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}"
        return f"{text}; {self.hint}" if self.hint else text

    def as_warning(self) -> Finding:
        return replace(self, level="warning")


@dataclass(frozen=True)
class DistributionCheck:
    """A distribution, the (kind, name) of its components, and what was found."""

    distribution: str
    version: str
    components: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        return sum(finding.level == "error" for finding in self.findings)

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        keys = ("level", "place", "message", "hint")
        return {
            "distribution": self.distribution,
            "version": self.version,
            "components": [{"kind": kind, "name": name} for kind, name in self.components],
            "findings": [{key: getattr(one, key) for key in keys} for one in self.findings],
        }
