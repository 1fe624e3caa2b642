"""How norms and residual sums are arranged: descriptors."""

from __future__ import annotations

from tp_core import Component, hookimpl


@hookimpl
def tp_blocks() -> list[Component]:
    return [
        Component(
            name="pre",
            target="tp_plugins.blocks.pre:Pre",
            summary="Normalise what enters each sublayer; the residual stream stays bare",
            paper="Xiong et al. 2020, arXiv:2002.04745",
        ),
        Component(
            name="sandwich",
            target="tp_plugins.blocks.sandwich:Sandwich",
            summary="Normalise what enters each sublayer and what leaves it",
            paper="Ding et al. 2021, arXiv:2105.13290",
        ),
    ]
