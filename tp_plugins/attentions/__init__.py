"""Descriptors of the attention components."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field

from tp_core import Component, Dims, Options, Spec, hookimpl


class SoftmaxOptions(Options):
    n_kv_heads: int | None = Field(
        None, ge=1, description="number of key/value heads; null is n_heads", examples=[1]
    )
    window: int | None = Field(
        None,
        ge=1,
        description="tokens visible to a query, including itself; null is all",
        examples=[3],
    )
    qk_norm: Spec[Literal["norm"]] | None = Field(
        None,
        description="norm applied to queries and keys per head, before rotation",
        examples=["rmsnorm"],
    )
    qk_norm_after: Spec[Literal["norm"]] | None = Field(
        None, description="like qk_norm, but after rotation", examples=["rmsnorm"]
    )
    qk_norm_full: Spec[Literal["norm"]] | None = Field(
        None, description="like qk_norm, but over all heads together", examples=["rmsnorm"]
    )
    softcap: float | None = Field(
        None,
        gt=0,
        description="limits logits to ±softcap with tanh; null disables it",
        examples=[1.0],
    )
    sink: bool = Field(False, description="add a learned attention-sink logit per head")
    gate: bool = Field(False, description="gate the heads' output with a sigmoid of the input")
    value_residual: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="weight of the first layer's values in later layers; null disables it",
        examples=[0.5],
    )
    bias: bool = Field(False, description="add a bias to all four projections")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout on attention weights", examples=[0.5]
    )

    def problems(self, dims: Dims) -> Iterable[str]:
        if self.n_kv_heads and dims.n_heads % self.n_kv_heads:
            yield f"n_heads = {dims.n_heads} is not divisible by n_kv_heads = {self.n_kv_heads}"
        if self.value_residual and dims.n_layers < 2:
            yield "value_residual mixes in the first layer's values, so n_layers must be at least 2"
        norms = ("qk_norm", "qk_norm_after", "qk_norm_full")
        chosen = [name for name in norms if getattr(self, name) is not None]
        if len(chosen) > 1:
            yield f"{' and '.join(chosen)} are set; set at most one of them"

    def offers(self, dims: Dims) -> Mapping[str, Mapping[str, int]]:
        return {"embed": {}, "rotate": {}, "bias": {}, "score": {}}


class DifferentialOptions(Options):
    n_kv_heads: int | None = Field(
        None, ge=1, description="number of key/value heads; null is n_heads", examples=[1]
    )
    window: int | None = Field(
        None,
        ge=1,
        description="tokens visible to a query, including itself; null is all",
        examples=[3],
    )

    def problems(self, dims: Dims) -> Iterable[str]:
        if dims.head_dim % 2:
            yield f"each head has two softmax maps, so head_dim must be even, not {dims.head_dim}"
        if self.n_kv_heads and dims.n_heads % self.n_kv_heads:
            yield f"n_heads = {dims.n_heads} is not divisible by n_kv_heads = {self.n_kv_heads}"

    def offers(self, dims: Dims) -> Mapping[str, Mapping[str, int]]:
        there = {"head_dim": dims.head_dim // 2}
        return {"embed": {}, "rotate": there, "bias": there, "score": there}


class GatedDeltaOptions(Options):
    conv_width: int = Field(
        4,
        ge=1,
        description="width of the convolutions on q, k and v; 1 disables them",
        examples=[1, 3],
    )

    def offers(self, dims: Dims) -> Mapping[str, Mapping[str, int]]:
        return {"embed": {}}


class LinearOptions(Options):
    decay: Literal["none", "fixed", "learned"] = Field(
        "fixed", description="decay per head: none, fixed as in RetNet, or learned"
    )

    def offers(self, dims: Dims) -> Mapping[str, Mapping[str, int]]:
        return {"embed": {}, "rotate": {}}


class MlaOptions(Options):
    latent: int | None = Field(
        None, ge=1, description="width of the cached latent; null is 4 · head_dim", examples=[3]
    )
    d_rope: int | None = Field(
        None, ge=1, description="width of the rotated key; null is head_dim / 2", examples=[2]
    )
    latent_norm: Spec[Literal["norm"]] | None = Field(
        None, description="norm over the latent", examples=["rmsnorm"]
    )

    def latent_width(self, head_dim: int) -> int:
        return self.latent or 4 * head_dim

    def rope_width(self, head_dim: int) -> int:
        return self.d_rope or max(1, head_dim // 2)

    def offers(self, dims: Dims) -> Mapping[str, Mapping[str, int]]:
        rotated = {"head_dim": self.rope_width(dims.head_dim)}
        return {"embed": {}, "rotate": rotated, "bias": {}, "score": {}}


@hookimpl
def tp_attentions() -> list[Component]:
    here = "tp_plugins.attentions"
    return [
        Component(
            name="softmax",
            target=f"{here}.softmax:Softmax",
            options=SoftmaxOptions,
            summary="Scaled dot-product attention: multi-head, grouped-query or multi-query",
            paper="Vaswani et al. 2017, arXiv:1706.03762; Ainslie et al. 2023, arXiv:2305.13245",
        ),
        Component(
            name="linear",
            target=f"{here}.linear:Linear",
            options=LinearOptions,
            summary="Linear attention with decay, with a fixed-size state instead of a cache",
            paper="Katharopoulos et al. 2020, arXiv:2006.16236; Sun et al. 2023, arXiv:2307.08621",
        ),
        Component(
            name="mla",
            target=f"{here}.mla:Mla",
            options=MlaOptions,
            summary="Multi-head latent attention: caches one small latent per token",
            paper="DeepSeek-AI 2024, arXiv:2405.04434",
        ),
        Component(
            name="differential",
            target=f"{here}.differential:Differential",
            options=DifferentialOptions,
            summary="Subtracts two softmax maps per head to cancel noise",
            paper="Ye et al. 2024, arXiv:2410.05258",
        ),
        Component(
            name="gated_delta",
            target=f"{here}.gated_delta:GatedDelta",
            options=GatedDeltaOptions,
            summary="Gated delta rule: linear attention that corrects its state as it writes",
            paper="Yang, Kautz & Hatamizadeh 2024, arXiv:2412.06464",
        ),
    ]
