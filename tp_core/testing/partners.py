"""The plain components the kit surrounds a tested one with: descriptors, one or more a kind.

They come in as any plugin's do, so that the kit needs no other component. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from tp_core.kernel.catalogue import Plugin
from tp_core.kernel.component import SITES, Component
from tp_core.kernel.hookspecs import hookimpl
from tp_core.kernel.options import Dims, Options

DISTRIBUTION = "tp-testing"
PLUGIN = Plugin(DISTRIBUTION, "1", "partners", __name__)

_HERE = "tp_core.testing.minimal"


class AttentionOptions(Options):
    window: int | None = Field(
        None, ge=1, description="most keys a query sees, itself included; null is all", examples=[3]
    )

    def offers(self, dims: Dims) -> Mapping[str, Mapping[str, int]]:
        return {site: {} for site in SITES}


def partner(name: str) -> str:
    """How a config names one of these."""
    return f"{DISTRIBUTION}:{name}"


@hookimpl
def tp_positional_encodings() -> list[Component]:
    return [
        Component(name="bare", target=f"{_HERE}:Bare", summary="Acts on no site"),
        Component(
            name="at_embed",
            target=f"{_HERE}:AtEmbed",
            summary="Adds sines of the position to the embeddings",
            needs=("embed",),
        ),
        Component(
            name="at_rotate",
            target=f"{_HERE}:AtRotate",
            summary="Turns pairs of features by the position",
            needs=("rotate",),
        ),
        Component(
            name="at_bias",
            target=f"{_HERE}:AtBias",
            summary="Adds a slope over the distance to the logits",
            needs=("bias",),
        ),
        Component(
            name="at_score",
            target=f"{_HERE}:AtScore",
            summary="Subtracts from the logits what gates of the tokens between add up to",
            needs=("score",),
        ),
    ]


@hookimpl
def tp_attentions() -> list[Component]:
    return [
        Component(
            name="plain",
            target=f"{_HERE}:PlainAttention",
            options=AttentionOptions,
            summary="Softmax attention that offers every site",
        )
    ]


@hookimpl
def tp_norms() -> list[Component]:
    return [
        Component(
            name="plain", target=f"{_HERE}:PlainNorm", summary="Unit root mean square, then gain"
        )
    ]


@hookimpl
def tp_mlps() -> list[Component]:
    return [Component(name="plain", target=f"{_HERE}:PlainMlp", summary="Two maps around a tanh")]


@hookimpl
def tp_blocks() -> list[Component]:
    return [
        Component(
            name="plain", target=f"{_HERE}:PlainBlock", summary="Pre-norm, two residual branches"
        )
    ]


@hookimpl
def tp_samplers() -> list[Component]:
    return [Component(name="plain", target=f"{_HERE}:PlainSampler", summary="Changes nothing")]


@hookimpl
def tp_metrics() -> list[Component]:
    return [Component(name="plain", target=f"{_HERE}:PlainMetric", summary="The number of samples")]


@hookimpl
def tp_optimizers() -> list[Component]:
    return [
        Component(
            name="plain", target=f"{_HERE}:PlainOptimizer", summary="Stochastic gradient descent"
        )
    ]


@hookimpl
def tp_schedules() -> list[Component]:
    return [Component(name="plain", target=f"{_HERE}:PlainSchedule", summary="Always the peak")]
