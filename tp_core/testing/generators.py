"""The process's own random generators: seeded for a while, put back, compared."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Torch's global generator (the CPU's alone) seeded, and put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def generator_states() -> tuple[bytes, bytes, int]:
    numpy_state = np.random.get_state(legacy=False)
    return (
        torch.get_rng_state().numpy().tobytes(),
        repr(numpy_state).encode(),
        hash(random.getstate()),
    )


@contextmanager
def global_generators(seed: int) -> Iterator[None]:
    """Torch's, NumPy's and Python's global generators seeded, and put back afterwards."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with drawing_from(seed):
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)
