"""Descriptors only: imported whenever components are listed, so it imports no torch."""

from pydantic import Field
from tp_core import Component, Options, hookimpl


class MinimalOptions(Options):
    eps: float = Field(1e-6, gt=0, description="added to the mean square", examples=[0.1])


@hookimpl
def tp_norms() -> list[Component]:
    return [
        Component(
            name="minimal",
            target="tp_core.testing.minimal.norm.norm:Minimal",
            options=MinimalOptions,
            summary="Normalises to unit root mean square, then applies a gain",
            paper="Zhang & Sennrich 2019, arXiv:1910.07467",
        )
    ]
