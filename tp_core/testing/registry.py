"""The list of checks: each a function with a name, the kinds it is for, and what it promises.

A check of a scene is asked of every scene of a component, and its worst answer counts.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from tp_core.testing.results import Finding, NotApplicable
from tp_core.testing.scenes import Scene
from tp_core.testing.subjects import Subject

OfSubject = Callable[[Subject], Finding]
OfScene = Callable[[Scene], Finding]
Function = TypeVar("Function", OfSubject, OfScene)


@dataclass(frozen=True)
class Check:
    """One promise. `applies` says without torch whether it has anything to ask of a subject."""

    name: str
    kinds: tuple[str, ...]
    run: OfSubject
    applies: Callable[[Subject], bool]
    summary: str


CHECKS: dict[str, Check] = {}


def _varied(subject: Subject) -> bool:
    # An option that can't be varied has one thing wrong with it, and its effect check says so.
    return not (subject.variant.option and subject.variant.fault)


def check(
    *kinds: str, when: Callable[[Subject], bool] = _varied
) -> Callable[[OfSubject], OfSubject]:
    """Register a check of a component with its options."""

    def register(function: OfSubject) -> OfSubject:
        _register(function.__name__, function.__doc__, kinds, function, when)
        return function

    return register


def scene_check(
    *kinds: str, when: Callable[[Subject], bool] = _varied, first_only: bool = False
) -> Callable[[OfScene], OfScene]:
    """Register a check of a model with the component in it, asked of each (or the first) scene."""

    def register(function: OfScene) -> OfScene:
        def run(subject: Subject) -> Finding:
            return _worst(function, subject.scenes[:1] if first_only else subject.scenes)

        _register(function.__name__, function.__doc__, kinds, run, when)
        return function

    return register


def _register(
    name: str,
    doc: str | None,
    kinds: tuple[str, ...],
    run: OfSubject,
    when: Callable[[Subject], bool],
) -> None:
    assert name not in CHECKS and doc, name
    CHECKS[name] = Check(name, kinds, run, when, doc.partition("\n")[0])


def _worst(function: OfScene, scenes: list[Scene]) -> Finding:
    found, reasons = [], []
    for scene in scenes:
        try:
            finding = function(scene)
        except NotApplicable as reason:
            reasons.append(reason)
            continue
        except Exception as error:
            finding = Finding(fault=raised(error))
        if finding.fault and scene.label:
            finding = replace(finding, fault=f"{scene.label}: {finding.fault}")
        found.append(finding)
    if not found:
        raise reasons[0]
    return max(found, key=lambda finding: finding.severity)


def raised(error: Exception) -> str:
    """An exception in one line, with the place it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"raised {type(error).__name__}: {' '.join(str(error).split())}{at}"
