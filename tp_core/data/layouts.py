"""How a split becomes the rows that training sees: `data.layout`. NumPy only."""

from __future__ import annotations

from tp_core.data.batches import BatchPlan, Padded
from tp_core.data.dataset import Layout, TokenizedSplit
from tp_core.data.packing import Packed, PackedPlan

Rows = Padded | Packed
Steps = BatchPlan | PackedPlan


def training_steps(
    layout: Layout, split: TokenizedSplit, *, batch_size: int, seed: int, max_seq_len: int
) -> Steps:
    """The rows of every step. `batch_size` counts rows: lines, packed rows, or pieces of a text."""
    if layout == "packed":
        return PackedPlan(split, batch_size=batch_size, seed=seed, width=max_seq_len)
    return BatchPlan(split, batch_size=batch_size, seed=seed)
