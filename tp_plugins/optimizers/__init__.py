"""How gradients change parameters: descriptors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from tp_core import Component, Dims, Options, hookimpl


class AdamWOptions(Options):
    beta1: float = Field(
        0.9, ge=0, lt=1, description="decay of the gradient average", examples=[0.5]
    )
    beta2: float = Field(
        0.95, ge=0, lt=1, description="decay of the squared-gradient average", examples=[0.5]
    )
    eps: float = Field(1e-8, gt=0, description="added to the denominator", examples=[0.1])


class MuonOptions(Options):
    momentum: float = Field(
        0.95, ge=0, lt=1, description="decay of the gradient average, for matrices", examples=[0.5]
    )
    nesterov: bool = Field(True, description="use Nesterov momentum")
    ns_steps: int = Field(5, ge=1, le=20, description="Newton-Schulz iterations", examples=[2])
    adjust: Literal["match_rms_adamw", "original"] = Field(
        "match_rms_adamw",
        description="update scale by matrix shape: 0.2·√max(rows, columns), to reuse AdamW's "
        "learning rate, or √max(1, rows/columns), which needs a larger one (0.02)",
    )
    adamw_lr_ratio: float = Field(
        1.0,
        gt=0,
        description="AdamW learning rate relative to that of the matrices; use 0.015 with "
        '"original"',
        examples=[0.5],
    )
    beta1: float = Field(
        0.9, ge=0, lt=1, description="adamw: decay of the gradient average", examples=[0.5]
    )
    beta2: float = Field(
        0.95, ge=0, lt=1, description="adamw: decay of the squared-gradient average", examples=[0.5]
    )
    eps: float = Field(1e-8, gt=0, description="adamw: added to the denominator", examples=[0.1])

    def problems(self, dims: Dims) -> Iterable[str]:
        if self.nesterov and not self.momentum:
            yield "nesterov needs momentum above 0; set nesterov = false"


class LionOptions(Options):
    beta1: float = Field(
        0.9, ge=0, lt=1, description="weight of the momentum in the update", examples=[0.5]
    )
    beta2: float = Field(0.99, ge=0, lt=1, description="decay of the momentum", examples=[0.5])


class SgdOptions(Options):
    momentum: float = Field(
        0.9, ge=0, lt=1, description="momentum factor; 0 disables it", examples=[0.0]
    )
    nesterov: bool = Field(False, description="use Nesterov momentum")

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
            summary="Orthogonalised momentum for hidden matrices, AdamW for everything else",
            paper="Jordan et al. 2024, kellerjordan.github.io/posts/muon",
        ),
        Component(
            name="lion",
            target=f"{here}.lion:Lion",
            options=LionOptions,
            summary="Sign of the momentum, with decoupled weight decay",
            paper="Chen et al. 2023, arXiv:2302.06675",
        ),
        Component(
            name="sgd",
            target=f"{here}.sgd:Sgd",
            options=SgdOptions,
            summary="Stochastic gradient descent, with momentum by default",
            paper="Sutskever et al. 2013, On the importance of initialization and momentum",
        ),
    ]
