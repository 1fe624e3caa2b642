"""Lines laid one after another in rows of a fixed width, for training that wastes no place on pads.

Each line is a document of its own: its positions start from 0 and its tokens see no other line's,
so that a packed line has the loss it has alone. No line is cut. NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tp_core.data.batches import IGNORED, count_targets, split_evenly
from tp_core.data.tokenized import TokenizedSplit, offsets_of
from tp_core.data.tokenizer import BOS_ID, EOS_ID, PAD_ID
from tp_core.rng import generator


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """Rows of one forward pass, each of several lines.

    `inputs` int64 [B, T]: for each line the start token, then the line. `targets` int64 [B, T]: for
    each the line, then the end token where it has one; IGNORED after the last. `positions` int64
    [B, T]: places in the line, −1 after the last. `documents` int64 [B, T]: lines of a row, counted
    from 0. `n_targets` and `n_bytes`: what a summed loss is divided by, per token and per byte.
    """

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]
    positions: NDArray[np.int64]
    documents: NDArray[np.int64]
    n_targets: int
    n_bytes: int


class PackedDataLoader:
    """The rows of every training step, counted from 0; each line comes once per epoch.

    Which lengths share a row is the same in every epoch (best fit, longest first), and so is the
    number of rows; which lines of those lengths they are, and the order of the rows, is drawn anew.
    What doesn't fill a batch of `batch_size` rows is one short batch, anywhere in the epoch.
    """

    def __init__(self, split: TokenizedSplit, *, batch_size: int, seed: int, width: int) -> None:
        """Raises `ValueError` for a line longer than `width`."""
        self._split = split
        self._batch_size = batch_size
        self._seed = seed
        self._width = width
        rows = best_fit(np.sort(split.lengths)[::-1], width)
        # The lines in falling order of length, row by row: `_slots[_starts[r] : _starts[r + 1]]`.
        self._slots = np.argsort(rows, kind="stable")
        self._starts = offsets_of(np.bincount(rows))
        self._epoch = -1
        self._lines = self._order = np.empty(0, np.int64)
        self.n_rows = len(self._starts) - 1
        self.steps_per_epoch = -(-self.n_rows // batch_size)

    def epoch_of(self, step: int) -> int:
        """The epoch, from 0, that `step` belongs to."""
        return step // self.steps_per_epoch

    def rows_for(self, step: int) -> list[NDArray[np.int64]]:
        """The lines of each row of `step`: `batch_size` rows, or fewer once an epoch."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._shuffle(epoch)
        rows = self._order[place * self._batch_size : (place + 1) * self._batch_size]
        return [self._lines[self._starts[row] : self._starts[row + 1]] for row in rows[rows >= 0]]

    def micro_batches(self, step: int, n: int) -> list[PackedBatch]:
        """The rows of `step` in at most `n` parts of about as many."""
        rows = self.rows_for(step)
        parts = split_evenly(np.arange(len(rows)), n)
        return [pack(self._split, [rows[index] for index in part], self._width) for part in parts]

    def _shuffle(self, epoch: int) -> None:
        rng = generator(self._seed, "order", epoch)
        lines = rng.permutation(len(self._split))
        lines = lines[np.argsort(-self._split.lengths[lines], kind="stable")]
        # The short batch is filled up with rows that are none, and put anywhere.
        batches = np.full((self.steps_per_epoch, self._batch_size), -1)
        batches.reshape(-1)[: self.n_rows] = rng.permutation(self.n_rows)
        self._lines, self._order = lines[self._slots], rng.permutation(batches).reshape(-1)
        self._epoch = epoch


def best_fit(lengths: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """The row of each of `lengths` [n], one after another into the fullest row that has room.

    Rows of `width` places are numbered as they are opened. Falling lengths fill them best: at most
    11/9 of the fewest rows possible, and one (Johnson et al., 1974). Raises `ValueError` for a
    length beyond `width`.
    """
    if lengths.max(initial=0) > width:
        raise ValueError(f"a line of {lengths.max()} tokens doesn't fit a row of {width}")
    by_room: dict[int, list[int]] = {}  # rows with as many places left
    some = 0  # bit r is set where there are rows with r places left
    rows, opened = [], 0
    for length in lengths.tolist():
        fits = some >> length
        if fits:
            room = length + (fits & -fits).bit_length() - 1
            row = by_room[room].pop()
            if not by_room[room]:
                some ^= 1 << room
        else:
            room, row, opened = width, opened, opened + 1
        rows.append(row)
        if room > length:
            by_room.setdefault(room - length, []).append(row)
            some |= 1 << (room - length)
    return np.array(rows, np.int64)


def pack(split: TokenizedSplit, rows: list[NDArray[np.int64]], width: int) -> PackedBatch:
    """The lines of each of `rows`, one after another, in rows of `width` places."""
    lines = np.concatenate([*rows, np.empty(0, np.int64)])
    counts = np.fromiter(map(len, rows), np.int64, len(rows))
    row = np.repeat(np.arange(len(rows)), counts)
    document = np.arange(len(lines)) - np.repeat(offsets_of(counts)[:-1], counts)
    lengths = split.lengths[lines]
    before = offsets_of(lengths)[:-1]
    # Where each line starts in the flattened rows: after those before it in its own row.
    starts = row * width + before - np.repeat(before[offsets_of(counts)[:-1]], counts)

    position = np.arange(lengths.sum()) - np.repeat(before, lengths)
    places = np.repeat(starts, lengths) + position
    source = np.repeat(split.offsets[lines], lengths) + position
    # Past the end of a line and before its start stands another's token; `where` overwrites it.
    tokens = split.tokens.take(source, mode="clip").astype(np.int64)
    earlier = split.tokens.take(source - 1, mode="clip").astype(np.int64)
    inside = position < np.repeat(np.diff(split.offsets)[lines], lengths)

    def spread(values: NDArray[np.int64], rest: NDArray[np.int64] | int) -> NDArray[np.int64]:
        """[B, T] with `values` in the places of lines and `rest` in the others."""
        filled = np.empty((len(rows), width), np.int64)
        filled[...] = rest
        filled.reshape(-1)[places] = values
        return filled

    targets = spread(np.where(inside, tokens, EOS_ID), IGNORED)
    return PackedBatch(
        inputs=spread(np.where(position == 0, BOS_ID, earlier), PAD_ID),
        targets=targets,
        positions=spread(position, -1),
        documents=spread(np.repeat(document, lengths), counts[:, None]),
        n_targets=count_targets(targets),
        n_bytes=int(split.bytes_[lines].sum()),
    )
