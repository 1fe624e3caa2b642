"""A configurable decoder-only transformer playground built as a plugin framework.

For plugin authors: `Component`, `Options`, `Spec`, `Dims` and `hookimpl`. For notebooks and
scripts: `train`, `Run` and `load_run`, which raise `TpError`. Importing this package imports
neither torch nor pydantic; each name is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tp_core.errors import TpError
    from tp_core.kernel.component import Component
    from tp_core.kernel.hookspecs import hookimpl
    from tp_core.kernel.options import Dims, Options, Spec
    from tp_core.runs.opening import load_run
    from tp_core.runs.run import Run
    from tp_core.training.train import train

API_VERSION = 1

__all__ = [
    "API_VERSION",
    "Component",
    "Dims",
    "Options",
    "Run",
    "Spec",
    "TpError",
    "hookimpl",
    "load_run",
    "train",
]

_HOME = {
    "Component": "tp_core.kernel.component",
    "Dims": "tp_core.kernel.options",
    "Options": "tp_core.kernel.options",
    "Spec": "tp_core.kernel.options",
    "hookimpl": "tp_core.kernel.hookspecs",
    "Run": "tp_core.runs.run",
    "TpError": "tp_core.errors",
    "load_run": "tp_core.runs.opening",
    "train": "tp_core.training.train",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'tp_core' has no attribute '{name}'")
