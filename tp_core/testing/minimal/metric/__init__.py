"""Descriptors only: imported whenever components are listed, so it imports no torch."""

from pydantic import Field
from tp_core import Component, Options, hookimpl


class MinimalOptions(Options):
    n: int = Field(2, ge=1, description="length of the n-grams, in words", examples=[1])


@hookimpl
def tp_metrics() -> list[Component]:
    return [
        Component(
            name="minimal",
            target="tp_core.testing.minimal.metric.metric:Minimal",
            options=MinimalOptions,
            summary="Share of word n-grams repeated within a sample",
            paper="Welleck et al. 2019, arXiv:1908.04319",
        )
    ]
