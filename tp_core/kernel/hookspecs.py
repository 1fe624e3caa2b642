"""The plugin hooks of `tp`: one per kind of component, in the order of `kinds.KINDS`."""

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
    """How token positions enter the model."""
    return ()


@hookspec
def tp_attentions() -> Iterable[Component]:
    """How tokens exchange information, causally."""
    return ()


@hookspec
def tp_norms() -> Iterable[Component]:
    """Normalise activations, one token at a time."""
    return ()


@hookspec
def tp_mlps() -> Iterable[Component]:
    """Feed-forward networks, applied to each token independently."""
    return ()


@hookspec
def tp_blocks() -> Iterable[Component]:
    """How norms and residual connections are arranged around one attention and one MLP."""
    return ()


@hookspec
def tp_samplers() -> Iterable[Component]:
    """Transform the next-token logits before a token is drawn."""
    return ()


@hookspec
def tp_metrics() -> Iterable[Component]:
    """What a report measures."""
    return ()


@hookspec
def tp_optimizers() -> Iterable[Component]:
    """How gradients update parameters."""
    return ()


@hookspec
def tp_schedules() -> Iterable[Component]:
    """How the learning rate changes over training."""
    return ()


@hookspec
def tp_callbacks() -> Iterable[Component]:
    """What watches a training, or decides when it ends."""
    return ()


def __dir__() -> list[str]:
    # pluggy inspects every attribute of this module, once per plugin.
    return [kind.hook for kind in KINDS.values()]
