"""Descriptors only: imported whenever components are listed, so it imports no torch."""

from pydantic import Field
from tp_core import Component, Options, hookimpl


class MinimalOptions(Options):
    start: float = Field(
        0.1, gt=0, description="initial gain of each residual branch", examples=[1.0]
    )


@hookimpl
def tp_blocks() -> list[Component]:
    return [
        Component(
            name="minimal",
            target="tp_core.testing.minimal.block.block:Minimal",
            options=MinimalOptions,
            summary="Pre-norm, with a learned gain per feature on each sublayer's output",
            paper="Touvron et al. 2021, CaiT, arXiv:2103.17239",
        )
    ]
