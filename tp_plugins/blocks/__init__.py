"""Descriptors of the blocks."""

from __future__ import annotations

from pydantic import Field

from tp_core import Component, Options, hookimpl


class ParallelOptions(Options):
    shared_norm: bool = Field(
        True, description="share one norm, as in GPT-J; false: separate norms, as in GPT-NeoX"
    )


class LayerScaleOptions(Options):
    start: float = Field(
        0.1,
        gt=0,
        description="initial γ; the paper uses 0.1 up to 18 layers, 1e-5 up to 24, then 1e-6",
        examples=[1e-5],
    )


class HyperConnectionsOptions(Options):
    n: int = Field(4, ge=1, description="number of residual streams", examples=[2])
    dynamic: bool = Field(
        True, description="make connections depend on the token; false: static weights"
    )


@hookimpl
def tp_blocks() -> list[Component]:
    here = "tp_plugins.blocks"
    return [
        Component(
            name="pre",
            target=f"{here}.pre:Pre",
            summary="Pre-norm: normalises the input of each sublayer",
            paper="Xiong et al. 2020, arXiv:2002.04745",
        ),
        Component(
            name="sandwich",
            target=f"{here}.sandwich:Sandwich",
            summary="Normalises the input and the output of each sublayer",
            paper="Ding et al. 2021, arXiv:2105.13290",
        ),
        Component(
            name="post",
            target=f"{here}.post:Post",
            summary="Post-norm: normalises after each residual addition",
            paper="Vaswani et al. 2017, arXiv:1706.03762",
        ),
        Component(
            name="reordered",
            target=f"{here}.reordered:Reordered",
            summary="Normalises the output of each sublayer, inside the residual branch",
            paper="OLMo et al. 2025, arXiv:2501.00656",
        ),
        Component(
            name="parallel",
            target=f"{here}.parallel:Parallel",
            options=ParallelOptions,
            summary="Attention and MLP in parallel, both added to the residual stream",
            paper="Wang & Komatsuzaki 2021, GPT-J; Chowdhery et al. 2022, arXiv:2204.02311",
        ),
        Component(
            name="deepnorm",
            target=f"{here}.deepnorm:DeepNorm",
            summary="Post-norm with the residual stream scaled up by depth",
            paper="Wang et al. 2022, arXiv:2203.00555",
        ),
        Component(
            name="rezero",
            target=f"{here}.rezero:ReZero",
            summary="No norms: scales each sublayer's output by a learned factor that starts at 0",
            paper="Bachlechner et al. 2020, arXiv:2003.04887",
        ),
        Component(
            name="layerscale",
            target=f"{here}.layerscale:LayerScale",
            options=LayerScaleOptions,
            summary="Pre-norm, with each sublayer's output scaled by small learned factors",
            paper="Touvron et al. 2021, arXiv:2103.17239",
        ),
        Component(
            name="hyper_connections",
            target=f"{here}.hyper_connections:HyperConnections",
            options=HyperConnectionsOptions,
            summary="Several residual streams, mixed by learned weights",
            paper="Zhu et al. 2024, arXiv:2409.19606",
        ),
    ]
