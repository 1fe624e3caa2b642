"""Telling callbacks of a training, and keeping those that only watch from disturbing it."""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tp_core.errors import RunFailed, TpError, did_you_mean
from tp_core.interfaces import callbacks as contract
from tp_core.interfaces.callbacks import EVENTS, StartEvent

Say = Callable[[str], None]
Event = Any  # one of the events in tp_core.interfaces.callbacks


class Callback:
    """One callback of a training, under the name that messages and checkpoints know it by."""

    def __init__(self, name: str, made: Any, say: Say = warnings.warn) -> None:
        check_class(type(made), name)
        self.name, self.made = name, made
        self.acts = bool(getattr(made, "acts", False))
        self._guard = None if self.acts else Guard(name, say)

    def has(self, method: str) -> bool:
        return callable(getattr(self.made, method, None))

    def call(self, method: str, *args: Any) -> Any:
        """What its method returns. Raises `TpError` naming it where an acting one fails."""
        bound = getattr(self.made, method)
        if self._guard is not None:
            return self._guard.call(bound, *args)
        try:
            return bound(*args)
        except TpError:
            raise
        except Exception as error:
            text = " ".join(str(error).split())
            raise RunFailed(
                f"callback '{self.name}' failed in {method}(): {type(error).__name__}: {text}; "
                "the run can be resumed from its last checkpoint"
            ) from error

    def start(self, event: StartEvent) -> None:
        if self.has("on_start"):
            sees_model = self.acts or getattr(self.made, "reads_model", False)
            self.call("on_start", event if sees_model else replace(event, access=None))


class Guard:
    """Runs a watching callback in a thread of its own, and gives up on it when it fails or hangs.

    The training waits for each call, so that nothing the callback does (drawing random numbers,
    say) falls between two operations of a step. It waits `GUARD_SECONDS` at most.
    """

    def __init__(self, name: str, say: Say) -> None:
        self._name, self._say = name, say
        self._calls: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]]
        self._calls = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.gave_up = False

    def call(self, method: Callable[..., Any], *args: Any) -> Any:
        if self.gave_up:
            return None
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._calls.put((method, args))
        try:
            result, error = self._results.get(timeout=contract.GUARD_SECONDS)
        except queue.Empty:
            self._give_up(f"took longer than {contract.GUARD_SECONDS:g} s in {method.__name__}()")
            return None
        if error is not None:
            text = " ".join(str(error).split())
            self._give_up(f"failed in {method.__name__}(): {type(error).__name__}: {text}")
        return result

    def _work(self) -> None:
        while True:
            method, args = self._calls.get()
            try:
                self._results.put((method(*args), None))
            except BaseException as error:  # it may call sys.exit
                self._results.put((None, error))

    def _give_up(self, reason: str) -> None:
        self.gave_up = True
        self._say(f"Warning: callback '{self._name}' {reason}. The training goes on without it")


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

    def tell(self, event_name: str, event: Event) -> None:
        for one in self._by_method[event_name]:
            one.call(event_name, event)

    def wants(self, event_name: str) -> bool:
        return bool(self._by_method[event_name])

    def stop_reason(self) -> dict[str, str] | None:
        """Which acting callback wants the training to stop, and why; None where none does."""
        for one in self._by_method["should_stop"]:
            reason = one.call("should_stop")
            if reason:
                return {"callback": one.name, "reason": str(reason)}
        return None

    def state_dicts(self) -> dict[str, Any]:
        """What each callback keeps, by name."""
        return {one.name: one.call("state_dict") for one in self._by_method["state_dict"]}

    def load_state_dicts(self, states: Mapping[str, Any]) -> None:
        for one in self._by_method["load_state_dict"]:
            if one.name in states:
                one.call("load_state_dict", states[one.name])


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


TAKEN = dict.fromkeys(
    (
        *("config.json", "provenance.json", "metrics.jsonl", "samples.jsonl", "summary.json"),
        *("checkpoints/best_val.pt", "checkpoints/last.pt", "checkpoints/previous.pt"),
    ),
    "the training",
)


def check_files(callbacks: Sequence[Callback]) -> None:
    """Raises `TpError` where two callbacks, or one and the training, write the same file."""
    owners = dict(TAKEN)
    for one in callbacks:
        for file in getattr(type(one.made), "files", ()):
            if file in owners:
                raise TpError(f"callback '{one.name}' and {owners[file]} both write {file}")
            owners[file] = f"callback '{one.name}'"
