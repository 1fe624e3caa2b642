"""Which signals ask a training to stop, also where not all of them can be caught."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from tp_core.training.signals import Interrupts

BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", BOTH)
def test_the_first_signal_is_noted_and_the_next_is_the_systems(number: int) -> None:
    before = [signal.getsignal(one) for one in BOTH]
    with Interrupts() as interrupts:
        assert interrupts.caught == 0
        signal.raise_signal(number)
        assert interrupts.caught == number
        assert [signal.getsignal(one) for one in BOTH] == before
    assert [signal.getsignal(one) for one in BOTH] == before


def test_a_system_that_refuses_sigterm_still_catches_ctrl_c(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = signal.signal

    def refuse(number: int, handler: Any) -> Any:
        if number == signal.SIGTERM:
            raise ValueError("invalid signal value")
        return real(number, handler)

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(signal, "signal", refuse)
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            assert interrupts.caught == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) == before


def test_outside_the_main_thread_nothing_is_caught() -> None:
    caught = []

    def work() -> None:
        with Interrupts() as interrupts:
            caught.append(interrupts.caught)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert caught == [0]
