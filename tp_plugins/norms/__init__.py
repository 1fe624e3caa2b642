"""How activations are kept in range: descriptors."""

from __future__ import annotations

from pydantic import Field

from tp_core import Component, Options, hookimpl


class LayerNormOptions(Options):
    eps: float = Field(1e-5, gt=0, description="added to the variance", examples=[0.1])
    bias: bool = Field(True, description="learn a shift beside the gain")


class RmsNormOptions(Options):
    eps: float = Field(1e-6, gt=0, description="added to the mean square", examples=[0.1])


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
    ]
