"""How a split becomes the rows that training sees: `data.layout`. NumPy only."""

from __future__ import annotations

from tp_core.data.batches import PaddedBatch, PaddedDataLoader
from tp_core.data.dataset import Layout, TokenizedSplit
from tp_core.data.packed import PackedBatch, PackedDataLoader

Batch = PaddedBatch | PackedBatch
DataLoader = PaddedDataLoader | PackedDataLoader


def make_data_loader(
    layout: Layout, split: TokenizedSplit, *, batch_size: int, seed: int, max_seq_len: int
) -> DataLoader:
    """The rows of every step. `batch_size` counts rows: lines, packed rows, or chunks of a text."""
    if layout == "packed":
        return PackedDataLoader(split, batch_size=batch_size, seed=seed, width=max_seq_len)
    return PaddedDataLoader(split, batch_size=batch_size, seed=seed)
