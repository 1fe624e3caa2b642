"""Descriptors only: imported whenever components are listed, so it imports no torch."""

from pydantic import Field
from tp_core import Component, Options, hookimpl


class MinimalOptions(Options):
    epsilon: float = Field(
        0.003,
        ge=0,
        lt=1,
        description="drop tokens less probable than this; 0 disables it",
        examples=[0.2],
    )


@hookimpl
def tp_samplers() -> list[Component]:
    return [
        Component(
            name="minimal",
            target="tp_core.testing.minimal.sampler.sampler:Minimal",
            options=MinimalOptions,
            summary="Keeps tokens with probability at least epsilon, and the most likely one",
            paper="Hewitt et al. 2022, arXiv:2210.15191",
        )
    ]
