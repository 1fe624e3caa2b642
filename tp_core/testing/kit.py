"""The kit's two doors: a parametrised pytest test, and the same checks as plain results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from tp_core.errors import TpError, did_you_mean
from tp_core.kernel.catalogue import Catalogue
from tp_core.testing import (
    building,
    callbacks,
    causality,
    descriptor,
    effect,
    invariance,
    layout,
    losses,
    metrics,
    optimizers,
    samplers,
    schedules,
    shapes,
    state,
    window,
    wiring,
)
from tp_core.testing.cases import Case, cases, kit_catalogue
from tp_core.testing.registry import CHECKS, Check, raised
from tp_core.testing.results import CheckResult, NotApplicable

# Importing them filled the list of checks.
THEMES = (
    *(descriptor, building, shapes, causality, state, layout, window, invariance, effect, wiring),
    *(losses, samplers, metrics, optimizers, schedules, callbacks),
)


def run_conformance(
    distribution: str,
    kinds: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    checks: Sequence[str] | None = None,
    progress: Callable[[CheckResult], None] | None = None,
    catalogue: Catalogue | None = None,
) -> list[CheckResult]:
    """Run every check on every component a distribution brings, with every set of options.

    `kinds`, `names` and `checks` narrow that down; `progress` hears of each result as it comes;
    `catalogue` stands in for what is installed, and must hold the kit's own plugins
    (`tp_core.testing.partners.PLUGINS`). Raises `TpError` for a distribution that isn't installed
    or doesn't load, and for a name or a check there is none of.
    """
    found = cases(catalogue or kit_catalogue(), distribution, kinds, names)
    results = []
    for case, check in _with_checks(found, _checks(checks)):
        results.append(run_check(case, check))
        if progress is not None:
            progress(results[-1])
    return results


def conformance(
    distribution: str,
    kinds: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    catalogue: Catalogue | None = None,
) -> Any:
    """A pytest test of every component a distribution brings: a case per check and set of options.

    Its ids read `attention-softmax-window=3-incremental`. Arguments and errors are those of
    `run_conformance`.
    """
    import pytest

    found = cases(catalogue or kit_catalogue(), distribution, kinds, names)
    parameters = [
        pytest.param(case, check, id=_result(case, check).id)
        for case, check in _with_checks(found, CHECKS.values())
    ]

    @pytest.mark.parametrize(("case", "check"), parameters)
    def test_components(case: Case, check: Check) -> None:
        result = run_check(case, check)
        if result.status == "failed":
            pytest.fail(f"{check.summary}\n{result.message}", pytrace=False)
        if result.status == "not-applicable":
            pytest.skip(result.message)

    return test_components


def run_check(case: Case, check: Check) -> CheckResult:
    """One check of one component with one set of options; whatever it raises becomes its result."""
    try:
        with _one_thread():
            finding = check.run(case)
    except NotApplicable as reason:
        return _result(case, check, "not-applicable", message=str(reason))
    except Exception as error:
        return _result(case, check, "failed", message=raised(error))
    return _result(
        case,
        check,
        "failed" if finding.fault else "passed",
        measured=finding.measured,
        tolerance=finding.tolerance,
        message=finding.fault,
    )


def _result(case: Case, check: Check, status: Any = "passed", **more: Any) -> CheckResult:
    return CheckResult(
        kind=case.kind,
        component=case.name,
        variant=case.variant.text,
        check=check.name,
        status=status,
        **more,
    )


def _with_checks(found: Iterable[Case], checks: Iterable[Check]) -> Iterator[tuple[Case, Check]]:
    """What is asked of each case, case by case."""
    checks = list(checks)
    for case in found:
        for check in checks:
            if case.kind in check.kinds and check.applies(case):
                yield case, check


def _checks(names: Sequence[str] | None) -> list[Check]:
    for name in names or ():
        if name not in CHECKS:
            near = did_you_mean(name, CHECKS) or f" There are: {', '.join(CHECKS)}."
            raise TpError(f"no check '{name}'.{near}")
    return [one for one in CHECKS.values() if names is None or one.name in names]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Tensors this small are slower on several threads, and sums always come in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
