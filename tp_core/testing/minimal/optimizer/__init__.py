"""Descriptors only: imported whenever components are listed, so it imports no torch."""

from pydantic import Field
from tp_core import Component, Options, hookimpl


class MinimalOptions(Options):
    momentum: float = Field(
        0.9, ge=0, lt=1, description="decay of the gradient average", examples=[0.5]
    )


@hookimpl
def tp_optimizers() -> list[Component]:
    return [
        Component(
            name="minimal",
            target="tp_core.testing.minimal.optimizer.optimizer:Minimal",
            options=MinimalOptions,
            summary="Steps in the direction of the averaged gradient's sign",
            paper="Bernstein et al. 2018, Signum, arXiv:1802.04434",
        )
    ]
