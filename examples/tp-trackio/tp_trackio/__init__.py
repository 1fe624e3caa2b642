"""Descriptors only: imported whenever components are listed, so it imports no torch."""

from pydantic import Field

from tp_core import Component, Options, hookimpl


class TrackioOptions(Options):
    project: str = Field(
        "transformer-playground",
        min_length=1,
        description="the project that runs are collected in",
        examples=["ablations"],
    )
    every: int = Field(10, ge=1, description="steps between two points", examples=[1])


@hookimpl
def tp_callbacks() -> list[Component]:
    return [
        Component(
            name="trackio",
            target="tp_trackio.callback:Trackio",
            options=TrackioOptions,
            summary="Sends losses to trackio",
            paper="Abid et al. 2025, https://github.com/gradio-app/trackio",
        )
    ]
