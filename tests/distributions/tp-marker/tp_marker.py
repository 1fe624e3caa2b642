"""Leaves a file behind when its code runs."""

import os
from pathlib import Path

from tp_core import Component, hookimpl

Path(os.environ["TP_TEST_MARKER"]).touch()


@hookimpl
def tp_norms():
    return [Component(name="marked", target="tp_marker:Marked")]
