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
        "plain", description="learned per feature: g from 1, or 1 + w with w from 0, or no gain"
    )


class DytOptions(Options):
    alpha: float = Field(0.5, gt=0, description="start of the learned slope", examples=[1.0])


class L2Options(Options):
    eps: float = Field(1e-5, gt=0, description="least length to divide by", examples=[10.0])
    scale: float | None = Field(
        None, gt=0, description="length of the output; null is √(its width)", examples=[1.0]
    )
    learned: bool = Field(True, description="learn that length from there on; false keeps it")


@hookimpl
def tp_norms() -> list[Component]:
    return [
        Component(
            name="layernorm",
            target="tp_plugins.norms.layernorm:LayerNorm",
            options=LayerNormOptions,
            summary="Zero mean and unit variance per token, then gain and shift",
            paper="Ba et al. 2016, arXiv:1607.06450",
        ),
        Component(
            name="rmsnorm",
            target="tp_plugins.norms.rmsnorm:RmsNorm",
            options=RmsNormOptions,
            summary="Unit root mean square per token, then gain",
            paper="Zhang & Sennrich 2019, arXiv:1910.07467",
        ),
        Component(
            name="dyt",
            target="tp_plugins.norms.dyt:DyT",
            options=DytOptions,
            summary="Dynamic tanh: squashes each feature instead of normalising the token",
            paper="Zhu et al. 2025, arXiv:2503.10622",
        ),
        Component(
            name="l2",
            target="tp_plugins.norms.l2:L2",
            options=L2Options,
            summary="Each token at one length, which is learned",
            paper="Nguyen & Salazar 2019, arXiv:1910.05895; Henry et al. 2020, arXiv:2010.04245",
        ),
    ]
