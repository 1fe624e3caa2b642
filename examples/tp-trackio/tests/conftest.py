"""A stand-in for trackio, which writes down what it is sent: nothing leaves the tests."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

SENT: list[tuple[Any, ...]] = []


def _stand_in() -> ModuleType:
    module = ModuleType("trackio")

    def init(**more: Any) -> None:
        print("* greetings")
        SENT.append(("init", more))

    module.init = init
    module.log = lambda metrics, step=None: SENT.append(("log", step, metrics))
    module.finish = lambda: SENT.append(("finish",))
    return module


sys.modules["trackio"] = _stand_in()


@pytest.fixture
def sent() -> list[tuple[Any, ...]]:
    """What trackio was called with, in order."""
    SENT.clear()
    return SENT
