"""The questions `tp` asks a plugin: one per kind of component, in the order of `kinds.KINDS`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

from tp_core.kernel.kinds import KINDS

if TYPE_CHECKING:
    from tp_core.kernel.component import Component

PROJECT = "tp"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def tp_positional_encodings() -> Iterable[Component]:
    """How token order enters the model."""
    return ()


@hookspec
def tp_attentions() -> Iterable[Component]:
    """How positions exchange information, causally."""
    return ()


@hookspec
def tp_norms() -> Iterable[Component]:
    """How activations are kept in range, one token at a time."""
    return ()


@hookspec
def tp_mlps() -> Iterable[Component]:
    """What each token computes on its own."""
    return ()


@hookspec
def tp_blocks() -> Iterable[Component]:
    """How norms and residual sums are arranged around one attention and one MLP."""
    return ()


@hookspec
def tp_samplers() -> Iterable[Component]:
    """How next-token logits are reshaped before a token is drawn."""
    return ()


@hookspec
def tp_metrics() -> Iterable[Component]:
    """What a report measures."""
    return ()


@hookspec
def tp_optimizers() -> Iterable[Component]:
    """How gradients change parameters."""
    return ()


@hookspec
def tp_schedules() -> Iterable[Component]:
    """How the learning rate moves over the steps."""
    return ()


@hookspec
def tp_callbacks() -> Iterable[Component]:
    """What watches a training, or decides when it ends."""
    return ()


def __dir__() -> list[str]:
    # pluggy looks at all there is here, and it does so once for every plugin.
    return [kind.hook for kind in KINDS.values()]
