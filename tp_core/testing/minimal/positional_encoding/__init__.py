"""Descriptors only: imported whenever components are listed, so it imports no torch."""

from pydantic import Field
from tp_core import Component, Options, hookimpl


class MinimalOptions(Options):
    reach: float = Field(
        1.0, gt=0, description="tokens of distance below which it hardly counts", examples=[8.0]
    )


@hookimpl
def tp_positional_encodings() -> list[Component]:
    return [
        Component(
            name="minimal",
            target="tp_core.testing.minimal.positional_encoding.positional_encoding:Minimal",
            options=MinimalOptions,
            summary="A penalty on the logits, by the logarithm of the distance, learned per head",
            needs=("bias",),
            paper="after Chi et al. 2022, KERPLE, arXiv:2205.09921",
        )
    ]
