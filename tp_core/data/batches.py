"""Which lines a step sees, and how they become padded arrays.

The order of the data is a pure function of (seed, epoch), so any step can be computed without the
ones before it. Lines of like length are batched together: padding every row to the longest line of
the file would waste most of the compute. NumPy only; whoever trains makes tensors of the arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tp_core.data.dataset import TokenizedSplit
from tp_core.data.tokenizer import BOS_ID, EOS_ID, PAD_ID
from tp_core.rng import derive_seed, generator, phrase_hashes

IGNORED = -100
"""The target where there is none; PyTorch's cross entropy skips it by default."""

# Batches sorted by length together. More would waste less padding and mix lengths less.
_POOL = 64


@dataclass(frozen=True, eq=False)
class PaddedBatch:
    """Rows of one forward pass, padded on the right to the longest of them.

    `inputs` int64 [B, T]: the start token, then the line. `targets` int64 [B, T]: the line, then
    the end token where it has one; IGNORED after that. `lengths` int64 [B]: positions in use.
    `n_targets` and `n_bytes`: what a summed loss is divided by, per token and per byte.
    """

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    n_targets: int
    n_bytes: int


class PaddedDataLoader:
    """The lines of every training step, counted from 0; each line comes once per epoch.

    An epoch is shuffled, cut into pools of 64 batches, sorted by length within each pool, cut into
    batches, and the batches are shuffled. What doesn't fill a batch is one short batch of randomly
    chosen lines, anywhere in the epoch.
    """

    def __init__(self, split: TokenizedSplit, *, batch_size: int, seed: int) -> None:
        self._split = split
        self._lengths = split.lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = -1
        self._batches: list[NDArray[np.int64]] = []
        self.steps_per_epoch = -(-len(split) // batch_size)

    def epoch_of(self, step: int) -> int:
        """The epoch, from 0, that `step` belongs to."""
        return step // self.steps_per_epoch

    def lines_for(self, step: int) -> NDArray[np.int64]:
        """The lines of `step` in order of length, int64 [batch_size], or fewer once an epoch."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._batches, self._epoch = self._order(epoch), epoch
        return self._batches[place]

    def micro_batches(self, step: int, n: int) -> list[PaddedBatch]:
        """The lines of `step`, padded, in at most `n` parts of about as many."""
        parts = split_evenly(self.lines_for(step), n)
        return [pad(self._split, part, BOS_ID, EOS_ID, PAD_ID) for part in parts]

    def _order(self, epoch: int) -> list[NDArray[np.int64]]:
        rng = generator(self._seed, "order", epoch)
        lines = rng.permutation(len(self._lengths))
        # The short batch is a pool of its own: at the end of a sorted one it would get the longest.
        full = len(lines) - len(lines) % self._batch_size
        pools = np.arange(len(lines)) // (self._batch_size * _POOL)
        pools[full:] = len(lines)
        lines = lines[np.lexsort((self._lengths[lines], pools))]
        starts = rng.permutation(np.arange(0, len(lines), self._batch_size))
        return [lines[start : start + self._batch_size] for start in starts]


def count_targets(targets: NDArray[np.int64]) -> int:
    """How many targets count."""
    return int((targets != IGNORED).sum())


def split_evenly(indices: NDArray[np.int64], n: int) -> list[NDArray[np.int64]]:
    """`indices` in `n` contiguous parts, of sizes that differ by one at most; none empty."""
    return [part for part in np.array_split(indices, n) if len(part)]


def pad(
    split: TokenizedSplit,
    indices: NDArray[np.int64],
    bos_id: int,
    eos_id: int,
    pad_id: int,
) -> PaddedBatch:
    """The lines `indices` as one padded batch, as wide as the longest of them."""
    starts = split.offsets[indices][:, None]
    n_tokens = (split.offsets[indices + 1] - split.offsets[indices])[:, None]
    lengths = split.lengths[indices]
    columns = np.arange(lengths.max(initial=0))[None, :]

    # Past the end of a line stands whatever is nearest; each `where` below overwrites it.
    targets = split.tokens.take(starts + columns, mode="clip").astype(np.int64)
    inputs = np.full_like(targets, bos_id)
    inputs[:, 1:] = targets[:, :-1]
    used = columns < lengths[:, None]
    targets = np.where(columns < n_tokens, targets, np.where(used, eos_id, IGNORED))
    return PaddedBatch(
        inputs=np.where(used, inputs, pad_id),
        targets=targets,
        lengths=lengths,
        n_targets=count_targets(targets),
        n_bytes=int(split.bytes_[indices].sum()),
    )


def eval_batches(split: TokenizedSplit, batch_size: int, max_lines: int) -> list[NDArray[np.int64]]:
    """Batches over the lines of `split` in order of length, the same ones every time.

    Of more than `max_lines` lines, those whose text hashes lowest, so that the choice changes
    little when the file grows.
    """
    chosen = np.arange(len(split))
    if len(split) > max_lines:
        texts = (split.text_bytes(index) for index in range(len(split)))
        hashes = phrase_hashes(texts, derive_seed(0, "evaluation"))
        chosen = np.sort(np.argsort(hashes, kind="stable")[:max_lines])
    chosen = chosen[np.argsort(split.lengths[chosen], kind="stable")]
    return [chosen[start : start + batch_size] for start in range(0, len(chosen), batch_size)]
