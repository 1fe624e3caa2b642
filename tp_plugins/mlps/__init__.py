"""What each token computes on its own: descriptors."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from tp_core import Component, Dims, Options, hookimpl


class GeluOptions(Options):
    expansion: float = Field(4.0, gt=0, description="hidden width / d_model", examples=[2.0])
    bias: bool = Field(False, description="add a bias in both projections")


class SwigluOptions(Options):
    expansion: float = Field(
        8 / 3, gt=0, description="hidden width / d_model, per branch", examples=[2.0]
    )
    bias: bool = Field(False, description="add a bias in all three projections")


class MoeOptions(Options):
    n_experts: int = Field(4, ge=2, description="MLPs to choose from", examples=[3])
    top_k: int = Field(2, ge=1, description="MLPs that compute each token", examples=[1])
    expansion: float = Field(
        2.0, gt=0, description="hidden width / d_model of one expert", examples=[1.0]
    )
    loss_weight: float = Field(
        0.01, ge=0, description="weight of the balance loss; 0 is off", examples=[0.1]
    )
    bias_rate: float = Field(
        0.0, ge=0, description="step of the balance bias; 0 is off", examples=[0.1]
    )

    def problems(self, dims: Dims) -> Iterable[str]:
        if self.top_k > self.n_experts:
            yield f"top_k = {self.top_k} is more than n_experts = {self.n_experts}"


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
        Component(
            name="moe",
            target="tp_plugins.mlps.moe:Moe",
            options=MoeOptions,
            summary="Each token is computed by the few of many MLPs its router prefers",
            paper="Fedus et al. 2021, arXiv:2101.03961; Wang et al. 2024, arXiv:2408.15664",
        ),
    ]
