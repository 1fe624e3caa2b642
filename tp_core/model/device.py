"""Device and precision selection, and seeding of the global generators."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from tp_core.errors import TpError
from tp_core.rng import derive_seed

Autocast = Callable[[], AbstractContextManager[object]]


def pick_device(wanted: str) -> torch.device:
    """The device named in a config. Raises `TpError` if it isn't available."""
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(wanted)
    available: dict[str, Callable[[], bool]] = {
        "cpu": lambda: True,
        "cuda": lambda: (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available,
    }
    if not available[device.type]():
        raise TpError(f'train.device: "{wanted}" is not available on this machine; use "auto"')
    return device


def autocast_for(device: torch.device, precision: str) -> Autocast:
    """A factory of contexts for the forward pass: bf16 autocast, or a no-op for fp32."""
    if precision == "fp32":
        return nullcontext
    return lambda: torch.autocast(device.type, dtype=torch.bfloat16)


def make_deterministic(device: torch.device) -> None:
    """Use deterministic kernels on a GPU.

    The CPU kernels in use are already deterministic for a given number of threads.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        settings: Any = torch.utils.deterministic  # a module with a property, unknown to types
        settings.fill_uninitialized_memory = False


def seed_dropout(seed: int, step: int, index: int, rank: int = 0) -> None:
    """Seed the generators used by dropout, for each step, micro-batch and rank.

    The dropout of a step is then a function of its number, unaffected by evaluations or a resume.
    """
    torch.manual_seed(derive_seed(seed, "dropout", step, index, rank))


def peak_memory_mib(device: torch.device) -> float | None:
    """Peak memory of this process, or of the GPU if it trains on one; None if unknown (Windows)."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
