"""A schedule that holds a training at a step, or sends it a signal there, for a test to see to."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tp_core import Component, hookimpl


@hookimpl
def tp_schedules():
    return [Component(name="hold", target="tp_hold:Hold")]


class Hold:
    """TP_TEST_HOLD=FOLDER@STEP,STEP makes it wait there; TP_TEST_SIGNAL=NUMBER@STEP."""

    def __init__(self, options, ctx):
        pass

    def factor(self, step):
        folder, _, steps = os.environ.get("TP_TEST_HOLD", "").partition("@")
        if str(step) in steps.split(","):
            (Path(folder) / f"held-{step}").touch()
            while not (Path(folder) / f"release-{step}").exists():
                time.sleep(0.005)
        number, _, at = os.environ.get("TP_TEST_SIGNAL", "").partition("@")
        if at == str(step):
            signal.raise_signal(int(number))
        return 1 / (step + 1)
