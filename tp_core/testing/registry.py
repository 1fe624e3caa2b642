"""The registry of checks: functions with a name, the kinds they apply to, and a summary.

A harness check runs on every harness of a component, and the worst result counts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

from tp_core.kernel.tracebacks import raised_at, summary
from tp_core.testing.cases import Case
from tp_core.testing.harness import Harness
from tp_core.testing.results import Finding, NotApplicable

CaseCheck = Callable[[Case], Finding]
HarnessCheck = Callable[[Harness], Finding]


@dataclass(frozen=True)
class Check:
    """One check. `applies` says, without torch, whether it applies to a case."""

    name: str
    kinds: tuple[str, ...]
    run: CaseCheck
    applies: Callable[[Case], bool]
    summary: str


CHECKS: dict[str, Check] = {}


def _always(case: Case) -> bool:
    return True


def check(
    *kinds: str, when: Callable[[Case], bool] = _always, unvaried: bool = False
) -> Callable[[CaseCheck], CaseCheck]:
    """Register a check of a component with its options.

    For an option without another value to test, only a check with `unvaried` runs.
    """

    def register(function: CaseCheck) -> CaseCheck:
        def applies(case: Case) -> bool:
            return when(case) and (unvaried or not case.variant.unvaried)

        name, doc = function.__name__, function.__doc__
        assert doc is not None, name
        assert name not in CHECKS, name
        CHECKS[name] = Check(name, kinds, function, applies, doc.partition("\n")[0])
        return function

    return register


def harness_check(
    *kinds: str, when: Callable[[Case], bool] = _always, first_only: bool = False
) -> Callable[[HarnessCheck], HarnessCheck]:
    """Register a check that runs on every harness of a component, or only the first."""

    def register(function: HarnessCheck) -> HarnessCheck:
        @functools.wraps(function)
        def run(case: Case) -> Finding:
            return _worst(function, case.harnesses[:1] if first_only else case.harnesses)

        check(*kinds, when=when)(run)
        return function

    return register


def _worst(function: HarnessCheck, harnesses: list[Harness]) -> Finding:
    found, reasons = [], []
    for harness in harnesses:
        try:
            finding = function(harness)
        except NotApplicable as reason:
            reasons.append(reason)
            continue
        except Exception as error:
            finding = Finding(fault=raised(error))
        if finding.fault and harness.label:
            finding = replace(finding, fault=f"{harness.label}: {finding.fault}")
        found.append(finding)
    if not found:
        raise reasons[0]
    return max(found, key=lambda finding: finding.severity)


def raised(error: Exception) -> str:
    """An exception in one line, with the place it came from outside torch."""
    return f"raised {summary(error)} ({raised_at(error, outside=('torch',))})"
