"""Descriptors only: imported whenever components are listed, so it imports no torch."""

from pydantic import Field
from tp_core import Component, Options, hookimpl


class MinimalOptions(Options):
    target: float = Field(1.0, gt=0, description="loss to stop at, in nats", examples=[3.1])


@hookimpl
def tp_callbacks() -> list[Component]:
    return [
        Component(
            name="minimal",
            target="tp_core.testing.minimal.callback.callback:Minimal",
            options=MinimalOptions,
            summary="Stops when the smoothed training loss is below a target",
            paper="after Shallue et al. 2019, arXiv:1811.03600",
        )
    ]
