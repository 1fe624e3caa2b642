"""Results of checks: as returned by a check, and as reported."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["passed", "failed", "not-applicable"]


@dataclass(frozen=True)
class CheckResult:
    """One check of one component with one set of options.

    `measured` is the largest measured deviation and `tolerance` the largest allowed; both are None
    for a check without measurements. `message` says what is wrong, or why the check doesn't apply.
    """

    kind: str
    component: str
    variant: str
    check: str
    status: Status
    measured: float | None = None
    tolerance: float | None = None
    message: str = ""

    @property
    def id(self) -> str:
        """`kind-component-variant-check`, as pytest shows it."""
        return f"{self.kind}-{self.component}-{self.variant}-{self.check}"

    def as_data(self) -> dict[str, Any]:
        """Plain data for strict JSON, which has no NaN: a figure that isn't finite becomes text."""
        return {
            key: repr(value) if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(self).items()
        }


class NotApplicable(Exception):
    """Raised by a check that doesn't apply to this component; its message says why."""


@dataclass(frozen=True)
class Finding:
    """A check's result for one component: passed if there is no `fault`."""

    fault: str = ""
    measured: float | None = None
    tolerance: float | None = None

    @property
    def severity(self) -> float:
        """How close to failing, to find the worst of several: 1 is at the tolerance."""
        if self.fault or self.measured is None:
            return math.inf if self.fault else -1.0
        return self.measured / self.tolerance if self.tolerance else self.measured


PASSED = Finding()


class Worst:
    """Collects the deviations that a check measures against one tolerance."""

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self.measured = 0.0
        self.fault = ""

    def add(self, measured: float, where: str) -> None:
        """Record a deviation; `where` describes what was compared."""
        # Written so that NaN counts as too far.
        if not measured <= self.tolerance and not self.fault:
            self.fault = f"{where}: differs by {measured:.3g}, tolerance {self.tolerance:.3g}"
        if not measured <= self.measured:
            self.measured = measured

    def finding(self) -> Finding:
        return Finding(self.fault, self.measured, self.tolerance)
