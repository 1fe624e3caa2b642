"""Checks of callbacks, in a tiny training (`callback_runs`) that tells them of its events."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tp_core.errors import TpError
from tp_core.runs.checkpoint import require_plain
from tp_core.testing.callback_runs import CallbackRun, first_difference, leaves
from tp_core.testing.generators import generator_states, global_generators
from tp_core.testing.harness import Harness
from tp_core.testing.registry import harness_check
from tp_core.testing.results import PASSED, Finding, NotApplicable
from tp_core.training.callbacks import Callback, check_together

_MAY_CHANGE_THE_MODEL = ("on_step",)  # and only what acts


def trace(harness: Harness) -> Mapping[str, object]:
    """What came of a training, and how much was written into each of the callback's files."""
    with _run_directory() as path:
        run = CallbackRun(harness, path).play()
        files = getattr(type(run.callback), "files", ())
        if not getattr(run.callback, "acts", False) and not files and _keeps_nothing(run.callback):
            raise NotApplicable("it only watches, and what it hands on elsewhere can't be seen")
        return {**run.outcome(), **{file: _size(path / file) for file in files}}


@harness_check("callback")
def events_known(harness: Harness) -> Finding:
    """It is told of something, of events that there are; it may do what it does; its files are its.

    What stops a training, or changes it, says `acts = True`.
    """
    try:
        check_together([Callback(harness.resolved.name, harness.build_component())])
    except TpError as error:
        return Finding(fault=str(error))
    return PASSED


@harness_check("callback")
def state_saved(harness: Harness) -> Finding:
    """What it keeps is plain data, and a new one that is given it keeps the same."""
    with _run_directory() as path:
        run = CallbackRun(harness, path)
        if _keeps_nothing(run.callback):
            raise NotApplicable("it keeps nothing from step to step")
        run.play()
        try:
            require_plain(run.callback.state_dict(), "its state")
        except TypeError as error:
            return Finding(fault=str(error))
        for step, checkpoint in run.checkpoints.items():
            kept, again = (_state(checkpoint) for _ in range(2))
            other = harness.build_component()
            other.load_state_dict(kept)
            place = first_difference(dict(leaves(other.state_dict())), dict(leaves(again)))
            if place:
                return Finding(fault=f"loaded from step {step}, '{place}' in its state is another")
    return PASSED


@harness_check("callback")
def goes_on(harness: Harness) -> Finding:
    """Resumed at any checkpoint, it does what it would have done: it stops where it would, and what
    is logged, saved and kept is the same. Tolerance 0."""
    with _run_directory() as path:
        whole = CallbackRun(harness, path).play()
        expected = whole.outcome()
        for step, checkpoint in whole.checkpoints.items():
            # In the same directory: one that was killed may have written more than it resumes from.
            resumed = CallbackRun(harness, path).resume(checkpoint).outcome()
            place = first_difference(resumed, expected)
            if place:
                return Finding(fault=f"resumed at step {step}, it comes to another '{place}'")
    return PASSED


@harness_check("callback")
def repeats(harness: Harness) -> Finding:
    """The same events come to the same, whatever random generators hold and however long it takes.

    Tolerance 0.
    """
    outcomes = []
    for seed, pace in ((0, 1.0), (1, 1000.0)):
        with _run_directory() as path, global_generators(seed):
            outcomes.append(CallbackRun(harness, path, pace).play().outcome())
    place = first_difference(*outcomes)
    if place:
        return Finding(fault=f"the same training again comes to another '{place}'")
    return PASSED


@harness_check("callback")
def training_kept(harness: Harness) -> Finding:
    """It leaves the training as it finds it: weights, optimizer, modes, random generators.

    One that acts may change weights and optimizer after a step, but not on the other events: these
    lie between an evaluation or a checkpoint and the model that it is of. Tolerance 0.
    """
    with _run_directory() as path:
        run = _Watched(harness, path)
        run.play()
    return Finding(fault=run.fault)


@harness_check("callback")
def files_declared(harness: Harness) -> Finding:
    """It writes into the run's directory only, and there only what its class names in `files`."""
    with _run_directory() as path:
        run = CallbackRun(harness, path).play()
        declared = [path / file for file in getattr(type(run.callback), "files", ())]
        for found in sorted(path.parent.rglob("*")):
            if found.is_dir() or any(found.is_relative_to(one) for one in declared):
                continue
            if not found.is_relative_to(path):
                return Finding(fault=f"it writes {found.name} beside the run's directory")
            name = found.relative_to(path).as_posix()
            return Finding(fault=f"it writes {name}, which its `files` don't name")
    return PASSED


class _Watched(CallbackRun):
    """Notes the first method of the callback that leaves something of the training changed."""

    fault = ""

    def tell(self, method: str, *args: Any) -> Any:
        before = self._training(method)
        result = super().tell(method, *args)
        place = first_difference(before, self._training(method))
        if place and not self.fault:
            self.fault = f"{method}() changes the training: {place}"
        return result

    def _training(self, method: str) -> dict[str, object]:
        model = self.model
        found: dict[str, object] = {
            "mode": {name: module.training for name, module in model.named_modules()},
            "random generator": generator_states()[0],
        }
        acts = getattr(self.callback, "acts", False)
        if not (acts and method in _MAY_CHANGE_THE_MODEL):
            gradients = {name: p.grad for name, p in model.named_parameters()}
            found |= {
                "weights": model.state_dict(),
                "gradient": gradients,
                "optimizer": self.optimizer.state_dict(),
            }
        return {
            name: one.clone() if isinstance(one, torch.Tensor) else one
            for name, one in leaves(found)
        }


@contextmanager
def _run_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tp-conformance-") as folder:
        yield Path(folder) / "run"


def _keeps_nothing(callback: Any) -> bool:
    return not hasattr(callback, "state_dict")


def _state(checkpoint: bytes) -> Any:
    return CallbackRun.read(checkpoint)["callback"]


def _size(path: Path) -> int:
    """Bytes in a file, or in all files of a directory."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
