"""Descriptors of the learning-rate schedules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from tp_core import Component, Dims, Options, hookimpl


class WarmupOptions(Options):
    warmup: int = Field(0, ge=0, description="linear warmup steps", examples=[3])

    def problems(self, dims: Dims) -> Iterable[str]:
        if self.warmup >= dims.max_steps:
            yield f"warmup = {self.warmup} must be smaller than max_steps = {dims.max_steps}"


class CosineOptions(WarmupOptions):
    floor: float = Field(
        0.1, ge=0, le=1, description="factor on the learning rate at the last step", examples=[0.5]
    )


class LinearOptions(WarmupOptions):
    floor: float = Field(
        0.0, ge=0, le=1, description="factor on the learning rate at the last step", examples=[0.5]
    )


class WsdOptions(WarmupOptions):
    decay: float = Field(
        0.1, gt=0, lt=1, description="share of max_steps used for the final decay", examples=[0.5]
    )
    shape: Literal["linear", "cosine", "sqrt"] = Field("linear", description="shape of the decay")
    floor: float = Field(
        0.0, ge=0, le=1, description="factor on the learning rate at the last step", examples=[0.5]
    )

    def decay_steps(self, max_steps: int) -> int:
        """The number of decay steps, at least one."""
        return max(1, round(self.decay * max_steps))

    def problems(self, dims: Dims) -> Iterable[str]:
        if self.warmup + self.decay_steps(dims.max_steps) >= dims.max_steps:
            yield (
                f"warmup = {self.warmup} and the {self.decay_steps(dims.max_steps)} decay steps "
                f"must leave at least one step of max_steps = {dims.max_steps} between them"
            )


@hookimpl
def tp_schedules() -> list[Component]:
    here = "tp_plugins.schedules"
    return [
        Component(
            name="constant",
            target=f"{here}.constant:Constant",
            options=WarmupOptions,
            summary="Linear warmup, then constant",
        ),
        Component(
            name="cosine",
            target=f"{here}.cosine:Cosine",
            options=CosineOptions,
            summary="Linear warmup, then cosine decay to the floor",
            paper="Loshchilov & Hutter 2016, arXiv:1608.03983",
        ),
        Component(
            name="wsd",
            target=f"{here}.wsd:Wsd",
            options=WsdOptions,
            summary="Linear warmup, constant, then a short decay at the end",
            paper="Hu et al. 2024, arXiv:2404.06395",
        ),
        Component(
            name="linear",
            target=f"{here}.linear:Linear",
            options=LinearOptions,
            summary="Linear warmup, then linear decay to the floor",
            paper="Devlin et al. 2018, arXiv:1810.04805",
        ),
        Component(
            name="inverse_sqrt",
            target=f"{here}.inverse_sqrt:InverseSqrt",
            options=WarmupOptions,
            summary="Linear warmup, then decay with the inverse square root of the step",
            paper="Vaswani et al. 2017, arXiv:1706.03762",
        ),
    ]
