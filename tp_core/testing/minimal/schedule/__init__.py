"""Descriptors only: imported whenever components are listed, so it imports no torch."""

from collections.abc import Iterable

from pydantic import Field
from tp_core import Component, Dims, Options, hookimpl


class MinimalOptions(Options):
    warmup: int = Field(0, ge=0, description="linear warmup steps", examples=[3])

    def problems(self, dims: Dims) -> Iterable[str]:
        """Problems with these sizes, reported before training starts."""
        if self.warmup >= dims.max_steps:
            yield f"warmup = {self.warmup} must be smaller than max_steps = {dims.max_steps}"


@hookimpl
def tp_schedules() -> list[Component]:
    return [
        Component(
            name="minimal",
            target="tp_core.testing.minimal.schedule.schedule:Minimal",
            options=MinimalOptions,
            summary="Linear warmup, then linear decay to zero",
            paper="Bergsma et al. 2025, arXiv:2502.15938",
        )
    ]
