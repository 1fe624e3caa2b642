"""State for incremental decoding: a nested dict of tensors with the batch on dim 0.

A component makes its own and is the only one to look inside.
"""

from __future__ import annotations

from typing import TypeAlias, Union

from torch import Tensor

State: TypeAlias = dict[str, Union[Tensor, "State"]]


def part(state: State | None, name: str) -> State | None:
    """A component's own share of the state it was given; None in training."""
    if state is None:
        return None
    inner = state[name]
    assert isinstance(inner, dict)
    return inner
