"""The kit's partners: components around a tested one, including an encoding for each site.

They are plugins like any other, so the kit needs no other components. Torch-free.
"""

from __future__ import annotations

from tp_core.kernel.catalogue import Plugin
from tp_core.kernel.component import Component
from tp_core.kernel.hookspecs import hookimpl
from tp_core.kernel.kinds import KINDS

DISTRIBUTION = "tp-testing"
PLUGINS = (
    Plugin(DISTRIBUTION, "1", "site_encodings", __name__),
    *(Plugin(DISTRIBUTION, "1", kind, f"tp_core.testing.minimal.{kind}") for kind in KINDS),
)

_HERE = "tp_core.testing.site_encodings"


def partner(name: str) -> str:
    """The name of a partner in a config."""
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
