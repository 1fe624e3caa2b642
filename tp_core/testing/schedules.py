"""Checks of schedules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from tp_core.testing.harness import Harness
from tp_core.testing.registry import harness_check
from tp_core.testing.results import PASSED, Finding

_MAX_STEPS = (1, 2, 10, 100)


@harness_check("schedule")
def factors(harness: Harness) -> Finding:
    """Every factor from step 0 to max_steps is finite and not negative, and not all are zero.

    Lengths that its options reject are skipped.
    """
    for max_steps, values in _by_length(harness).items():
        for step, value in enumerate(values):
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value < 0:
                return Finding(fault=f"the factor at step {step} of {max_steps} is {value!r}")
        if not any(values[:-1]):
            return Finding(fault=f"all factors are zero with max_steps = {max_steps}")
    return PASSED


@harness_check("schedule")
def stateless(harness: Harness) -> Finding:
    """A factor only depends on its step: a resumed run doesn't compute earlier ones."""
    for max_steps, values in _by_length(harness).items():
        schedule = harness.build_component()
        backwards = [schedule.factor(step, max_steps) for step in reversed(range(max_steps + 1))]
        if backwards[::-1] != values:
            return Finding(
                fault=f"with max_steps = {max_steps}, factors differ when computed in reverse order"
            )
    return PASSED


def trace(harness: Harness) -> Mapping[str, object]:
    """Its factors for every length."""
    return {str(length): values for length, values in _by_length(harness).items()}


def _by_length(harness: Harness) -> dict[int, list[float]]:
    schedule = harness.build_component()
    return {
        max_steps: [schedule.factor(step, max_steps) for step in range(max_steps + 1)]
        for max_steps in _MAX_STEPS
        if not list(harness.resolved.options.problems(replace(harness.dims, max_steps=max_steps)))
    }
