"""A plugin whose descriptors import torch: every listing of components pays for it."""

from __future__ import annotations

import torch

from tp_core import Component, hookimpl
from tp_core.testing.minimal.norm import MinimalOptions

EPS = torch.finfo(torch.float32).eps


@hookimpl
def tp_norms() -> list[Component]:
    return [
        Component(
            name="heavy",
            target="tp_core.testing.minimal.norm.norm:Minimal",
            options=MinimalOptions,
            summary=f"eps = {EPS}",
        )
    ]
