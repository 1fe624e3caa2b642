"""What each token computes on its own: descriptors."""

from __future__ import annotations

from pydantic import Field

from tp_core import Component, Options, hookimpl


class GeluOptions(Options):
    expansion: float = Field(4.0, gt=0, description="hidden width / d_model", examples=[2.0])
    bias: bool = Field(False, description="add a bias in both projections")


class SwigluOptions(Options):
    expansion: float = Field(
        8 / 3, gt=0, description="hidden width / d_model, per branch", examples=[2.0]
    )
    bias: bool = Field(False, description="add a bias in all three projections")


@hookimpl
def tp_mlps() -> list[Component]:
    return [
        Component(
            name="gelu",
            target="tp_plugins.mlps.gelu:Gelu",
            options=GeluOptions,
            summary="Two linear maps around a GELU",
            paper="Hendrycks & Gimpel 2016, arXiv:1606.08415",
        ),
        Component(
            name="swiglu",
            target="tp_plugins.mlps.swiglu:Swiglu",
            options=SwigluOptions,
            summary="A SiLU branch gates a linear one",
            paper="Shazeer 2020, arXiv:2002.05202",
        ),
    ]
