"""How positions exchange information: descriptors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field

from tp_core import Component, Dims, Options, Spec, hookimpl


class SoftmaxOptions(Options):
    n_kv_heads: int | None = Field(
        None, ge=1, description="heads of keys and values; null is n_heads", examples=[1]
    )
    window: int | None = Field(
        None, ge=1, description="most keys a query sees, itself included; null is all", examples=[3]
    )
    qk_norm: Spec[Literal["norm"]] | None = Field(
        None, description="norm over head_dim on queries and keys", examples=["rmsnorm"]
    )
    bias: bool = Field(False, description="add a bias in all four projections")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="on attention weights, in training", examples=[0.5]
    )

    def problems(self, dims: Dims) -> Iterable[str]:
        if self.n_kv_heads and dims.n_heads % self.n_kv_heads:
            yield f"n_heads = {dims.n_heads} is not divisible by n_kv_heads = {self.n_kv_heads}"

    def offers(self, dims: Dims) -> Mapping[str, Mapping[str, int]]:
        return {"embed": {}, "rotate": {}, "bias": {}, "score": {}}


@hookimpl
def tp_attentions() -> list[Component]:
    return [
        Component(
            name="softmax",
            target="tp_plugins.attentions.softmax:Softmax",
            options=SoftmaxOptions,
            summary="Scaled dot-product attention: multi-head, grouped-query or multi-query",
            paper="Vaswani et al. 2017, arXiv:1706.03762; Ainslie et al. 2023, arXiv:2305.13245",
        ),
    ]
