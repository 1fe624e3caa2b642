"""The list of checks: each a function with a name, the kinds it is for, and what it promises.

A check of a scene is asked of every scene of a component, and its worst answer counts.
"""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace

from tp_core.testing.results import Finding, NotApplicable
from tp_core.testing.scenes import Scene
from tp_core.testing.subjects import Subject

OfSubject = Callable[[Subject], Finding]
OfScene = Callable[[Scene], Finding]


@dataclass(frozen=True)
class Check:
    """One promise. `applies` says without torch whether it has anything to ask of a subject."""

    name: str
    kinds: tuple[str, ...]
    run: OfSubject
    applies: Callable[[Subject], bool]
    summary: str


CHECKS: dict[str, Check] = {}


def _always(subject: Subject) -> bool:
    return True


def check(
    *kinds: str, when: Callable[[Subject], bool] = _always, unvaried: bool = False
) -> Callable[[OfSubject], OfSubject]:
    """Register a check of a component with its options.

    An option that can't be varied has but one thing wrong with it: only a check with `unvaried` is
    asked of it.
    """

    def register(function: OfSubject) -> OfSubject:
        def applies(subject: Subject) -> bool:
            return when(subject) and (unvaried or not subject.variant.unvaried)

        name, doc = function.__name__, function.__doc__
        assert doc is not None, name
        assert name not in CHECKS, name
        CHECKS[name] = Check(name, kinds, function, applies, doc.partition("\n")[0])
        return function

    return register


def scene_check(
    *kinds: str, when: Callable[[Subject], bool] = _always, first_only: bool = False
) -> Callable[[OfScene], OfScene]:
    """Register a check of a model with the component in it, asked of each (or the first) scene."""

    def register(function: OfScene) -> OfScene:
        @functools.wraps(function)
        def run(subject: Subject) -> Finding:
            return _worst(function, subject.scenes[:1] if first_only else subject.scenes)

        check(*kinds, when=when)(run)
        return function

    return register


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
    """An exception in one line, with the place it came from, torch's own code left out."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{os.sep}torch{os.sep}" not in frame.filename] or frames
    at = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    return f"raised {type(error).__name__}: {' '.join(str(error).split())}{at}"
