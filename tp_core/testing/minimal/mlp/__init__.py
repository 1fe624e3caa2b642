"""Descriptors only: imported whenever components are listed, so it imports no torch."""

from pydantic import Field
from tp_core import Component, Options, hookimpl


class MinimalOptions(Options):
    expansion: float = Field(
        8 / 3, gt=0, description="hidden width / d_model, per branch", examples=[2.0]
    )


@hookimpl
def tp_mlps() -> list[Component]:
    return [
        Component(
            name="minimal",
            target="tp_core.testing.minimal.mlp.mlp:Minimal",
            options=MinimalOptions,
            summary="GELU-gated linear unit",
            paper="Shazeer 2020, arXiv:2002.05202",
        )
    ]
