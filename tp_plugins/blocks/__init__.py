"""How norms and residual sums are arranged: descriptors."""

from __future__ import annotations

from pydantic import Field

from tp_core import Component, Options, hookimpl


class ParallelOptions(Options):
    shared_norm: bool = Field(
        True, description="one norm for attention and MLP, as in GPT-J; false: two, as in GPT-NeoX"
    )


class LayerScaleOptions(Options):
    start: float = Field(
        0.1,
        gt=0,
        description="of every γ; the paper takes 0.1 up to 18 layers, 1e-5 up to 24, then 1e-6",
        examples=[1e-5],
    )


class HyperConnectionsOptions(Options):
    n: int = Field(4, ge=1, description="residual streams", examples=[2])
    dynamic: bool = Field(
        True, description="connections depend on the token; false: learned numbers alone"
    )


@hookimpl
def tp_blocks() -> list[Component]:
    here = "tp_plugins.blocks"
    return [
        Component(
            name="pre",
            target=f"{here}.pre:Pre",
            summary="Normalise what enters each sublayer; the residual stream stays bare",
            paper="Xiong et al. 2020, arXiv:2002.04745",
        ),
        Component(
            name="sandwich",
            target=f"{here}.sandwich:Sandwich",
            summary="Normalise what enters each sublayer and what leaves it",
            paper="Ding et al. 2021, arXiv:2105.13290",
        ),
        Component(
            name="post",
            target=f"{here}.post:Post",
            summary="Normalise each residual sum, as the first transformer did",
            paper="Vaswani et al. 2017, arXiv:1706.03762",
        ),
        Component(
            name="reordered",
            target=f"{here}.reordered:Reordered",
            summary="Normalise what leaves each sublayer; it enters as it is",
            paper="OLMo et al. 2025, arXiv:2501.00656",
        ),
        Component(
            name="parallel",
            target=f"{here}.parallel:Parallel",
            options=ParallelOptions,
            summary="Attention and MLP side by side, both added to the same stream",
            paper="Wang & Komatsuzaki 2021, GPT-J; Chowdhery et al. 2022, arXiv:2204.02311",
        ),
        Component(
            name="deepnorm",
            target=f"{here}.deepnorm:DeepNorm",
            summary="Post-norm with a stream amplified by depth",
            paper="Wang et al. 2022, arXiv:2203.00555",
        ),
        Component(
            name="rezero",
            target=f"{here}.rezero:ReZero",
            summary="No norm: sublayers enter through a learned factor that starts at 0",
            paper="Bachlechner et al. 2020, arXiv:2003.04887",
        ),
        Component(
            name="layerscale",
            target=f"{here}.layerscale:LayerScale",
            options=LayerScaleOptions,
            summary="Pre-norm, each sublayer's output scaled by learned factors that start small",
            paper="Touvron et al. 2021, arXiv:2103.17239",
        ),
        Component(
            name="hyper_connections",
            target=f"{here}.hyper_connections:HyperConnections",
            options=HyperConnectionsOptions,
            summary="Several residual streams, read and written by learned weights",
            paper="Zhu et al. 2024, arXiv:2409.19606",
        ),
    ]
