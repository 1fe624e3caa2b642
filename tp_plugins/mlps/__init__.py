"""Descriptors of the MLPs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from tp_core import Component, Dims, Options, Spec, hookimpl


class UngatedOptions(Options):
    expansion: float = Field(4.0, gt=0, description="hidden width / d_model", examples=[2.0])
    bias: bool = Field(False, description="add a bias to both projections")

    def hidden(self, dim: int) -> int:
        """The hidden width for a model width of `dim`, at least 1."""
        return max(1, round(self.expansion * dim))


class GeluOptions(UngatedOptions):
    approximate: Literal["none", "tanh"] = Field(
        "none", description="exact GELU, or the tanh approximation used by GPT-2"
    )


class GatedOptions(Options):
    expansion: float | None = Field(
        None,
        gt=0,
        description='hidden width / d_model, per branch; null is 8/3, or 4 with match = "params"',
        examples=[2.0],
    )
    match: Literal["params"] | None = Field(
        None,
        description='"params": match the parameter count of a plain MLP with this expansion',
        examples=[{"match": "params", "expansion": 2.0}],
    )
    bias: bool = Field(False, description="add a bias to all three projections")

    def hidden(self, dim: int) -> int:
        """The width of each branch for a model width of `dim`, at least 1.

        With `match = "params"` the one whose parameters come nearest in number to those of a plain
        MLP of the same `expansion` and `bias`.
        """
        if self.match is None:
            return max(1, round((self.expansion or 8 / 3) * dim))
        plain = UngatedOptions(expansion=self.expansion or 4.0).hidden(dim)
        per_unit = 3 * dim + 2 * self.bias
        return max(1, round(plain * (2 * dim + self.bias) / per_unit))


class GegluOptions(GatedOptions):
    approximate: Literal["none", "tanh"] = Field(
        "none", description="exact GELU, or the tanh approximation used by Gemma"
    )


class MoeOptions(Options):
    n_experts: int = Field(4, ge=2, description="number of routed experts", examples=[3])
    top_k: int = Field(
        2,
        ge=1,
        description="experts per token",
        examples=[3, {"top_k": 1, "norm_topk": False}],
    )
    expert: Spec[Literal["mlp"]] = Field(
        Spec("swiglu", {"expansion": 4 / 3}),
        description="the MLP used for each expert",
        examples=["relu2"],
    )
    scores: Literal["softmax", "sigmoid"] = Field(
        "softmax", description="router scores: softmax over experts, or sigmoid per expert"
    )
    norm_topk: bool = Field(True, description="normalise the chosen experts' scores to sum to 1")
    n_shared: int = Field(
        0, ge=0, description="number of shared experts, applied to every token", examples=[1]
    )
    shared_gate: bool = Field(
        False,
        description="scale the shared experts' output by σ(w·x)",
        examples=[{"shared_gate": True, "n_shared": 2}],
    )
    loss_weight: float = Field(
        0.01, ge=0, description="weight of the load-balancing loss; 0 disables it", examples=[0.1]
    )
    bias_rate: float = Field(
        0.0,
        ge=0,
        description="update rate of the load-balancing bias; 0 disables it",
        examples=[0.1],
    )

    def problems(self, dims: Dims) -> Iterable[str]:
        if self.top_k > self.n_experts:
            yield f"top_k = {self.top_k} is more than n_experts = {self.n_experts}"
        if self.top_k == self.n_experts and (self.loss_weight or self.bias_rate):
            yield (
                f"top_k = n_experts = {self.top_k} leaves nothing to balance: "
                "set loss_weight = 0 and bias_rate = 0"
            )
        if self.top_k == 1 and self.norm_topk:
            yield (
                "top_k = 1 with norm_topk weighs every choice by 1, whatever its score: "
                "set norm_topk = false"
            )
        if self.shared_gate and not self.n_shared:
            yield "shared_gate scales shared experts, and there is none: set n_shared"


@hookimpl
def tp_mlps() -> list[Component]:
    here = "tp_plugins.mlps"
    return [
        Component(
            name="gelu",
            target=f"{here}.gelu:Gelu",
            options=GeluOptions,
            summary="Two linear maps around a GELU",
            paper="Hendrycks & Gimpel 2016, arXiv:1606.08415",
        ),
        Component(
            name="relu",
            target=f"{here}.relu:Relu",
            options=UngatedOptions,
            summary="Two linear maps around a ReLU",
            paper="Vaswani et al. 2017, arXiv:1706.03762",
        ),
        Component(
            name="relu2",
            target=f"{here}.relu2:Relu2",
            options=UngatedOptions,
            summary="Two linear maps around a squared ReLU",
            paper="So et al. 2021, arXiv:2109.08668",
        ),
        Component(
            name="silu",
            target=f"{here}.silu:Silu",
            options=UngatedOptions,
            summary="Two linear maps around a SiLU, also called Swish",
            paper="Elfwing et al. 2017, arXiv:1702.03118; Ramachandran et al., arXiv:1710.05941",
        ),
        Component(
            name="swiglu",
            target=f"{here}.swiglu:Swiglu",
            options=GatedOptions,
            summary="SiLU-gated linear unit",
            paper="Shazeer 2020, arXiv:2002.05202",
        ),
        Component(
            name="geglu",
            target=f"{here}.geglu:Geglu",
            options=GegluOptions,
            summary="GELU-gated linear unit",
            paper="Shazeer 2020, arXiv:2002.05202",
        ),
        Component(
            name="moe",
            target=f"{here}.moe:Moe",
            options=MoeOptions,
            summary="Mixture of experts: a router sends each token to a few of many MLPs",
            paper="Fedus et al. 2021, arXiv:2101.03961; Dai et al. 2024, arXiv:2401.06066",
        ),
    ]
