"""Descriptors only: imported whenever components are listed, so it imports no torch."""

from pydantic import Field
from tp_core import Component, Options, hookimpl


class MinimalOptions(Options):
    reach: float = Field(
        1.0, gt=0, description="distance in tokens below which the penalty is small", examples=[8.0]
    )


@hookimpl
def tp_positional_encodings() -> list[Component]:
    return [
        Component(
            name="minimal",
            target="tp_core.testing.minimal.positional_encoding.positional_encoding:Minimal",
            options=MinimalOptions,
            summary="Learned penalty per head that grows with the logarithm of the distance",
            needs=("bias",),
            paper="after Chi et al. 2022, KERPLE, arXiv:2205.09921",
        )
    ]
