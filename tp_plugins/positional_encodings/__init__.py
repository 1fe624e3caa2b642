"""How token order enters the model: descriptors."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from tp_core import Component, Dims, Options, hookimpl


class RopeOptions(Options):
    base: float = Field(
        10000.0, gt=1, description="wavelengths run from 2π to 2π·base tokens", examples=[100.0]
    )

    def problems(self, dims: Dims) -> Iterable[str]:
        if dims.head_dim % 2:
            yield f"rotates pairs of features, so head_dim must be even, not {dims.head_dim}"


class SinusoidalOptions(Options):
    base: float = Field(
        10000.0, gt=1, description="wavelengths run from 2π to 2π·base tokens", examples=[100.0]
    )


class FoxOptions(Options):
    start: float = Field(
        3.0, description="start of the gate's bias; 3 forgets 5 % a token", examples=[0.0]
    )


@hookimpl
def tp_positional_encodings() -> list[Component]:
    here = "tp_plugins.positional_encodings"
    return [
        Component(
            name="none",
            target=f"{here}.none:NoEncoding",
            summary="No encoding: order comes from the causal mask alone",
            paper="Kazemnejad et al. 2023, arXiv:2305.19466",
        ),
        Component(
            name="learned",
            target=f"{here}.learned:Learned",
            summary="A learned vector per position, added to the embedding",
            needs=("embed",),
            paper="Gehring et al. 2017, arXiv:1705.03122",
        ),
        Component(
            name="rope",
            target=f"{here}.rope:Rope",
            options=RopeOptions,
            summary="Rotates queries and keys by angles proportional to position",
            needs=("rotate",),
            paper="Su et al. 2021, arXiv:2104.09864",
        ),
        Component(
            name="sinusoidal",
            target=f"{here}.sinusoidal:Sinusoidal",
            options=SinusoidalOptions,
            summary="Fixed sines and cosines of the position, added to the embedding",
            needs=("embed",),
            paper="Vaswani et al. 2017, arXiv:1706.03762",
        ),
        Component(
            name="alibi",
            target=f"{here}.alibi:Alibi",
            summary="A penalty on the logits that grows with distance, per head",
            needs=("bias",),
            paper="Press et al. 2021, arXiv:2108.12409",
        ),
        Component(
            name="fox",
            target=f"{here}.fox:Fox",
            options=FoxOptions,
            summary="A learned forget gate lowers the logits of older keys",
            needs=("score",),
            paper="Lin et al. 2025, arXiv:2503.02130",
        ),
    ]
