"""How gradients change parameters: descriptors."""

from __future__ import annotations

from pydantic import Field

from tp_core import Component, Options, hookimpl


class AdamWOptions(Options):
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the mean gradient", examples=[0.5])
    beta2: float = Field(
        0.95, ge=0, lt=1, description="decay of the mean squared gradient", examples=[0.5]
    )
    eps: float = Field(1e-8, gt=0, description="added to the denominator", examples=[0.1])


@hookimpl
def tp_optimizers() -> list[Component]:
    return [
        Component(
            name="adamw",
            target="tp_plugins.optimizers.adamw:AdamW",
            options=AdamWOptions,
            summary="Adam with decoupled weight decay",
            paper="Loshchilov & Hutter 2017, arXiv:1711.05101",
        ),
    ]
