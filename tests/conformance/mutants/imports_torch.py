"""A plugin whose descriptors import torch: every listing of components pays for it."""

from __future__ import annotations

import torch

from tp_core import Component, hookimpl

EPS = torch.finfo(torch.float32).eps


@hookimpl
def tp_norms() -> list[Component]:
    return [
        Component(name="heavy", target="tp_core.testing.minimal:PlainNorm", summary=f"eps = {EPS}")
    ]
