"""Telling callbacks of a training, and keeping those that only watch from disturbing it."""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from tp_core.errors import RunFailed, TpError, did_you_mean
from tp_core.interfaces import callbacks as contract
from tp_core.interfaces.callbacks import EVENTS, EndEvent, StartEvent
from tp_core.runs.checkpoint import require_plain

Event = Any  # one of the events in tp_core.interfaces.callbacks


class CallbackWarning(UserWarning):
    """A callback that only watches failed or hung, and the training went on without it."""


class Callback:
    """One callback of a training, under the name that messages and checkpoints know it by."""

    def __init__(self, name: str, made: Any) -> None:
        check_class(type(made), name)
        self.name, self.made = name, made
        self.acts = bool(getattr(made, "acts", False))
        self.started = False
        self._guard = None if self.acts else Guard(name)

    @property
    def gave_up(self) -> bool:
        """Whether it failed while watching, and is told nothing any more."""
        return self._guard is not None and self._guard.gave_up

    def has(self, method: str) -> bool:
        return callable(getattr(self.made, method, None))

    def call(self, method: str, *args: Any) -> Any:
        """What its method returns. Raises `TpError` naming it where an acting one fails."""
        bound = self._plain_state if method == "state_dict" else getattr(self.made, method)
        if self._guard is not None:
            return self._guard.call(method, bound, *args)
        try:
            return bound(*args)
        except TpError:
            raise
        except Exception as error:
            text = f"callback '{self.name}' failed in {method}(): {_in_words(error)}"
            if method != "on_end":
                text += "; the run can be resumed from its last checkpoint"
            raise RunFailed(text) from error

    def start(self, event: StartEvent) -> None:
        if self.has("on_start"):
            sees_model = self.acts or getattr(self.made, "reads_model", False)
            self.call("on_start", event if sees_model else replace(event, access=None))
        self.started = True

    def close(self) -> None:
        if self._guard is not None:
            self._guard.close()

    def _plain_state(self) -> Any:
        state = self.made.state_dict()
        require_plain(state, "its state")
        return state


class Guard:
    """Runs a watching callback in a thread of its own, and gives up on it when it fails or hangs.

    The training waits for each call, so that nothing the callback does (drawing random numbers,
    say) falls between two operations of a step. It waits `GUARD_SECONDS` at most.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]] | None]
        self._calls = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.gave_up = False

    def call(self, name: str, method: Callable[..., Any], *args: Any) -> Any:
        if self.gave_up:
            return None
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._calls.put((method, args))
        try:
            result, error = self._results.get(timeout=contract.GUARD_SECONDS)
        except queue.Empty:
            self._give_up(f"took longer than {contract.GUARD_SECONDS:g} s in {name}()")
            return None
        if error is not None:
            self._give_up(f"failed in {name}(): {_in_words(error)}")
        return result

    def close(self) -> None:
        """Let the thread end, once it is done with what it was called for."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            method, args = call
            try:
                self._results.put((method(*args), None))
            except BaseException as error:  # it may call sys.exit
                self._results.put((None, error))

    def _give_up(self, reason: str) -> None:
        self.gave_up = True
        text = f"callback '{self._name}' {reason}. The training goes on without it"
        warnings.warn(text, CallbackWarning, stacklevel=2)


class Callbacks:
    """All callbacks of a training, in order. An event that none of them wants costs nothing."""

    def __init__(self, callbacks: Sequence[Callback] = ()) -> None:
        self._all = callbacks
        self._by_method = {
            name: [one for one in callbacks if one.has(name)]
            for name in (*EVENTS, "should_stop", "state_dict", "load_state_dict")
        }

    def start(self, event: StartEvent) -> None:
        for one in self._all:
            one.start(event)

    def end(self, event: EndEvent) -> None:
        """Tell all that were started, each even where one before it fails; raises the first
        failure."""
        failures = []
        for one in self._by_method["on_end"]:
            try:
                if one.started:
                    one.call("on_end", event)
            except TpError as error:
                failures.append(error)
        for one in self._all:
            one.close()
        if failures:
            raise failures[0]

    def tell(self, event_name: str, event: Event) -> None:
        for one in self._by_method[event_name]:
            one.call(event_name, event)

    def stop_reason(self) -> dict[str, str] | None:
        """Which acting callback wants the training to stop, and why; None where none does."""
        for one in self._by_method["should_stop"]:
            reason = one.call("should_stop")
            if reason:
                return {"callback": one.name, "reason": str(reason)}
        return None

    def state_dicts(self) -> dict[str, Any]:
        """What each callback keeps, by name; nothing of one that has failed."""
        states = {one.name: one.call("state_dict") for one in self._by_method["state_dict"]}
        gave_up = {one.name for one in self._all if one.gave_up}
        return {name: state for name, state in states.items() if name not in gave_up}

    def load_state_dicts(self, states: Mapping[str, Any]) -> None:
        for one in self._by_method["load_state_dict"]:
            if one.name in states:
                one.call("load_state_dict", states[one.name])


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def check_class(cls: type, name: str) -> None:
    """Raises `TpError` for a callback class that can't be told anything, or misspells an event."""
    methods = [word for word in dir(cls) if word.startswith("on_") and callable(getattr(cls, word))]
    for method in methods:
        if method not in EVENTS:
            near = did_you_mean(method, EVENTS) or f" There are: {', '.join(EVENTS)}."
            raise TpError(f"callback '{name}': there is no event '{method}'.{near}")
    stops = callable(getattr(cls, "should_stop", None))
    if stops and not getattr(cls, "acts", False):
        raise TpError(f"callback '{name}' has should_stop(), so it must say `acts = True`")
    if not methods and not stops:
        raise TpError(f"callback '{name}' has no event method. There are: {', '.join(EVENTS)}")
    keeps, loads = (hasattr(cls, method) for method in ("state_dict", "load_state_dict"))
    if keeps != loads:
        has, lacks = ("state_dict", "load_state_dict")[:: 1 if keeps else -1]
        raise TpError(f"callback '{name}' has {has}(), so it must have {lacks}() too")
    if isinstance(getattr(cls, "files", ()), str):
        raise TpError(f"callback '{name}': `files` must be a tuple of names, not text")


TAKEN = dict.fromkeys(
    (
        *("config.json", "provenance.json", "metrics.jsonl", "samples.jsonl", "summary.json"),
        *("checkpoints/best_val.pt", "checkpoints/last.pt", "checkpoints/previous.pt"),
        *("tokenizer/spm.model", ".lock"),
    ),
    "the training",
)


def check_together(callbacks: Sequence[Callback]) -> None:
    """Raises `TpError` where two callbacks are the same one, or write the same file, or one writes
    a file of the training's or outside the run's directory."""
    owners = dict(TAKEN)
    names: set[str] = set()
    for one in callbacks:
        for file in getattr(type(one.made), "files", ()):
            path = PurePosixPath(file)
            if path.is_absolute() or ".." in path.parts:
                raise TpError(f"callback '{one.name}': {file} is outside the run's directory")
            if str(path) in owners:
                raise TpError(f"callback '{one.name}' and {owners[str(path)]} both write {file}")
            owners[str(path)] = f"callback '{one.name}'"
        if one.name in names:
            raise TpError(f"callback '{one.name}' is there twice: name it once")
        names.add(one.name)
