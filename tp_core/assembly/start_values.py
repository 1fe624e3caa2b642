"""Where a model's start values come from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tp_core.rng import derive_seed


@contextmanager
def seeded(seed: int, path: str) -> Iterator[None]:
    """Draw start values from a generator of (seed, path in the model), and restore it afterwards.

    Swapping one component leaves the start values of every other tensor bit-identical.
    """
    with torch.random.fork_rng(devices=[]):
        # The CPU's generator alone: a device's is neither used for a start nor forked.
        torch.default_generator.manual_seed(derive_seed(seed, "start", path))
        yield
