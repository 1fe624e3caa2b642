"""Descriptors only: imported whenever components are listed, so it imports no torch."""

from collections.abc import Mapping

from pydantic import Field
from tp_core import Component, Dims, Options, hookimpl


class MinimalOptions(Options):
    window: int | None = Field(
        None,
        ge=1,
        description="tokens visible to a query, including itself; null is all",
        examples=[3],
    )

    def offers(self, dims: Dims) -> Mapping[str, Mapping[str, int]]:
        """The sites where a positional encoding can act."""
        return {"embed": {}, "rotate": {}, "bias": {}, "score": {}}


@hookimpl
def tp_attentions() -> list[Component]:
    return [
        Component(
            name="minimal",
            target="tp_core.testing.minimal.attention.attention:Minimal",
            options=MinimalOptions,
            summary="Multi-head scaled dot-product attention",
            paper="Vaswani et al. 2017, arXiv:1706.03762",
        )
    ]
