"""The list of checks: each a function with a name, the kinds it is for, and what it promises.

A check of a harness is asked of every harness of a component, and its worst answer counts.
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
    """One promise. `applies` says without torch whether it has anything to ask of a case."""

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

    An option that can't be varied has but one thing wrong with it: only a check with `unvaried` is
    asked of it.
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
    """Register a check of a model with the component in it, of each harness or the first."""

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
    """An exception in one line, with the place it came from, torch's own code left out."""
    return f"raised {summary(error)} ({raised_at(error, outside=('torch',))})"
