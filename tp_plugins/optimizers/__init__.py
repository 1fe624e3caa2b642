"""How gradients change parameters: descriptors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from tp_core import Component, Dims, Options, hookimpl


class AdamWOptions(Options):
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the mean gradient", examples=[0.5])
    beta2: float = Field(
        0.95, ge=0, lt=1, description="decay of the mean squared gradient", examples=[0.5]
    )
    eps: float = Field(1e-8, gt=0, description="added to the denominator", examples=[0.1])


class MuonOptions(Options):
    momentum: float = Field(
        0.95, ge=0, lt=1, description="decay of the mean gradient, for matrices", examples=[0.5]
    )
    nesterov: bool = Field(True, description="the momentum looks one gradient ahead")
    ns_steps: int = Field(5, ge=1, le=20, description="Newton-Schulz iterations", examples=[2])
    adjust: Literal["match_rms_adamw", "original"] = Field(
        "match_rms_adamw",
        description="step by shape, rows × columns: 0.2·√max(rows, columns), which fits the rate "
        "of adamw; or √max(1, rows/columns), whose rate is larger (0.02)",
    )
    adamw_lr_ratio: float = Field(
        1.0,
        gt=0,
        description="learning rate of the adamw part / that of the matrices; 0.015 goes with "
        '"original"',
        examples=[0.5],
    )
    beta1: float = Field(
        0.9, ge=0, lt=1, description="adamw: decay of the mean gradient", examples=[0.5]
    )
    beta2: float = Field(
        0.95, ge=0, lt=1, description="adamw: decay of the mean squared gradient", examples=[0.5]
    )
    eps: float = Field(1e-8, gt=0, description="adamw: added to the denominator", examples=[0.1])

    def problems(self, dims: Dims) -> Iterable[str]:
        if self.nesterov and not self.momentum:
            yield "nesterov needs momentum above 0; set nesterov = false"


class LionOptions(Options):
    beta1: float = Field(
        0.9, ge=0, lt=1, description="share of the momentum in the step's sign", examples=[0.5]
    )
    beta2: float = Field(0.99, ge=0, lt=1, description="decay of the momentum", examples=[0.5])


class SgdOptions(Options):
    momentum: float = Field(
        0.9, ge=0, lt=1, description="decay of the summed gradients; 0 is none", examples=[0.0]
    )
    nesterov: bool = Field(False, description="the momentum looks one gradient ahead")

    def problems(self, dims: Dims) -> Iterable[str]:
        if self.nesterov and not self.momentum:
            yield "nesterov needs momentum above 0"


@hookimpl
def tp_optimizers() -> list[Component]:
    here = "tp_plugins.optimizers"
    return [
        Component(
            name="adamw",
            target=f"{here}.adamw:AdamW",
            options=AdamWOptions,
            summary="Adam with decoupled weight decay",
            paper="Loshchilov & Hutter 2017, arXiv:1711.05101",
        ),
        Component(
            name="muon",
            target=f"{here}.muon:Muon",
            options=MuonOptions,
            summary="Orthogonalised momentum for hidden matrices, AdamW for the rest",
            paper="Jordan et al. 2024, kellerjordan.github.io/posts/muon",
        ),
        Component(
            name="lion",
            target=f"{here}.lion:Lion",
            options=LionOptions,
            summary="The sign of a momentum, with decoupled weight decay",
            paper="Chen et al. 2023, arXiv:2302.06675",
        ),
        Component(
            name="sgd",
            target=f"{here}.sgd:Sgd",
            options=SgdOptions,
            summary="Gradient descent, by default with momentum",
            paper="Sutskever et al. 2013, On the importance of initialization and momentum",
        ),
    ]
