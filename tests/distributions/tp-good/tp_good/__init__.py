"""A plugin as it should be: descriptors that import nothing heavy."""

from typing import Literal

from pydantic import Field

from tp_core import Component, Options, Spec, hookimpl


class Relu4Options(Options):
    expansion: float = Field(4.0, gt=0, description="hidden width / d_model", examples=[2.0])
    inner: Spec[Literal["norm"]] | None = Field(
        None, description="norm in between", examples=["rmsnorm"]
    )


@hookimpl
def tp_mlps():
    return [
        Component(
            name="relu4",
            target="tp_good.model:Relu4",
            options=Relu4Options,
            aliases=("quartic_relu",),
            summary="ReLU to the fourth power",
            paper="after So et al. 2021, arXiv:2109.08668",
        )
    ]


@hookimpl
def tp_norms():
    yield Component(name="scalenorm", target="tp_good.model:ScaleNorm", summary="One gain for all")
