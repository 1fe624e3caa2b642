"""Compute in fp32 under bf16 autocast."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """A context in which products of fp32 tensors on `x`'s device stay in fp32.

    The meta device, used by the dry run to measure memory, has no autocast.
    """
    if x.device.type == "meta":
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)
