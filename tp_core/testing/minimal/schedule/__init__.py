"""Descriptors only: imported whenever components are listed, so it imports no torch."""

from collections.abc import Iterable

from pydantic import Field
from tp_core import Component, Dims, Options, hookimpl


class MinimalOptions(Options):
    warmup: int = Field(0, ge=0, description="steps of linear rise from 0", examples=[3])

    def problems(self, dims: Dims) -> Iterable[str]:
        """What can't work at these sizes: said before anything is trained."""
        if self.warmup >= dims.max_steps:
            yield f"warmup = {self.warmup} leaves no step of max_steps = {dims.max_steps}"


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
