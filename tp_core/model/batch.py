"""The rows of a micro-batch as tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from tp_core.data.layouts import Batch
from tp_core.data.packed import PackedBatch
from tp_core.interfaces.sequence import SequenceInfo


def on_device(rows: Batch, device: torch.device) -> tuple[Tensor, Tensor, SequenceInfo]:
    """Tokens and targets, int64 [B, T], and what a forward pass is told of them."""

    def moved(array: object) -> Tensor:
        return torch.as_tensor(array).to(device, non_blocking=True)

    tokens, targets = moved(rows.inputs), moved(rows.targets)
    if isinstance(rows, PackedBatch):
        seq = SequenceInfo.of_positions(moved(rows.positions), moved(rows.documents))
    else:
        seq = SequenceInfo.of_rows(moved(rows.lengths), tokens.shape[1])
    return tokens, targets, seq
