"""How the learning rate moves over the steps: descriptors."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from tp_core import Component, Dims, Options, hookimpl


class WarmupOptions(Options):
    warmup: int = Field(0, ge=0, description="steps of linear rise from 0", examples=[3])

    def problems(self, dims: Dims) -> Iterable[str]:
        if self.warmup >= dims.max_steps:
            yield f"warmup = {self.warmup} leaves no step of max_steps = {dims.max_steps}"


class CosineOptions(WarmupOptions):
    floor: float = Field(0.1, ge=0, le=1, description="factor at the last step", examples=[0.5])


@hookimpl
def tp_schedules() -> list[Component]:
    here = "tp_plugins.schedules"
    return [
        Component(
            name="constant",
            target=f"{here}.constant:Constant",
            options=WarmupOptions,
            summary="Linear warmup, then level",
        ),
        Component(
            name="cosine",
            target=f"{here}.cosine:Cosine",
            options=CosineOptions,
            summary="Linear warmup, then half a cosine down to the floor",
            paper="Loshchilov & Hutter 2016, arXiv:1608.03983",
        ),
    ]
