"""How activations are kept in range: descriptors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tp_core import Component, Options, hookimpl


class LayerNormOptions(Options):
    eps: float = Field(1e-5, gt=0, description="added to the variance", examples=[0.1])
    gain: bool = Field(True, description="learn a gain per feature")
    bias: bool = Field(True, description="learn a shift per feature")


class RmsNormOptions(Options):
    eps: float = Field(1e-6, gt=0, description="added to the mean square", examples=[0.1])
    gain: Literal["plain", "unit_offset", "none"] = Field(
        "plain", description="learned gain per feature: g from 1, 1 + w with w from 0, or none"
    )


class DytOptions(Options):
    alpha: float = Field(
        0.5, gt=0, description="initial value of the learned slope", examples=[1.0]
    )


class L2Options(Options):
    eps: float = Field(1e-5, gt=0, description="minimum length to divide by", examples=[10.0])
    scale: float | None = Field(
        None,
        gt=0,
        description="initial length of the output; null is the square root of its width",
        examples=[1.0],
    )
    learned: bool = Field(True, description="learn the length; false keeps it at scale")


@hookimpl
def tp_norms() -> list[Component]:
    return [
        Component(
            name="layernorm",
            target="tp_plugins.norms.layernorm:LayerNorm",
            options=LayerNormOptions,
            summary="Normalises to zero mean and unit variance, then applies a gain and bias",
            paper="Ba et al. 2016, arXiv:1607.06450",
        ),
        Component(
            name="rmsnorm",
            target="tp_plugins.norms.rmsnorm:RmsNorm",
            options=RmsNormOptions,
            summary="Normalises to unit root mean square, then applies a gain",
            paper="Zhang & Sennrich 2019, arXiv:1910.07467",
        ),
        Component(
            name="dyt",
            target="tp_plugins.norms.dyt:DyT",
            options=DytOptions,
            summary="Dynamic tanh: applies tanh to each feature instead of normalising",
            paper="Zhu et al. 2025, arXiv:2503.10622",
        ),
        Component(
            name="l2",
            target="tp_plugins.norms.l2:L2",
            options=L2Options,
            summary="L2 normalisation to a learned length",
            paper="Nguyen & Salazar 2019, arXiv:1910.05895; Henry et al. 2020, arXiv:2010.04245",
        ),
    ]
