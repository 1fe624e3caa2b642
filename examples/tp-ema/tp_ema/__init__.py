"""Descriptors only: imported to list components, so it imports no torch."""

from collections.abc import Mapping

from pydantic import Field

from tp_core import Component, Dims, Options, hookimpl


class EmaOptions(Options):
    slowest: float = Field(
        32.0,
        gt=1,
        description="tokens the slowest head averages over, at the start",
        examples=[4.0],
    )
    gate: bool = Field(True, description="sigmoid gate on the averages, from the input")

    def offers(self, dims: Dims) -> Mapping[str, Mapping[str, int]]:
        return {"embed": {}}


@hookimpl
def tp_attentions() -> list[Component]:
    return [
        Component(
            name="ema",
            target="tp_ema.model:Ema",
            options=EmaOptions,
            summary="Each head keeps a moving average of its values, at a learned pace",
            paper="after Ma et al. 2022, MEGA, arXiv:2209.10655",
        )
    ]
