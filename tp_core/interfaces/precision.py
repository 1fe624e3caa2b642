"""Computing in fp32 where autocast would take bf16."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """A context in which products of fp32 tensors on `x`'s device stay fp32.

    On the meta device, where a dry run counts memory, there is no autocast to switch off.
    """
    if x.device.type == "meta":
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)
