"""Checks of schedules."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from tp_core.testing.effect import compare_traces, varies
from tp_core.testing.registry import check
from tp_core.testing.results import PASSED, Finding
from tp_core.testing.scenes import Scene
from tp_core.testing.subjects import Subject

_MAX_STEPS = (1, 2, 10, 100)


@check("schedule")
def factors(subject: Subject) -> Finding:
    """Every factor from step 0 to max_steps is a finite number, not negative, and some are positive.

    Lengths its options refuse are left out.
    """
    for max_steps, values in _by_length(subject.scene).items():
        for step, value in enumerate(values):
            if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
                return Finding(fault=f"the factor of step {step} of {max_steps} is {value!r}")
        if not any(values[:-1]):
            return Finding(fault=f"all factors of max_steps = {max_steps} are zero")
    return PASSED


@check("schedule")
def pure(subject: Subject) -> Finding:
    """A factor depends on nothing but its step: a resumed run asks for the middle ones only."""
    for max_steps, values in _by_length(subject.scene).items():
        schedule = subject.scene.build_component()
        backwards = [schedule.factor(step, max_steps) for step in reversed(range(max_steps + 1))]
        if backwards[::-1] != values:
            return Finding(fault=f"asked from the end, max_steps = {max_steps} has other factors")
    return PASSED


@check("schedule", when=varies)
def schedule_effect(subject: Subject) -> Finding:
    """The option changes a factor."""
    return compare_traces(
        subject,
        lambda scene: {str(n): torch.tensor(v) for n, v in _by_length(scene).items()},
    )


def _by_length(scene: Scene) -> dict[int, list[float]]:
    schedule = scene.build_component()
    return {
        max_steps: [schedule.factor(step, max_steps) for step in range(max_steps + 1)]
        for max_steps in _MAX_STEPS
        if not list(scene.chosen.options.problems(replace(scene.dims, max_steps=max_steps)))
    }
