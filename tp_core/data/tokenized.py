"""Texts as token ids, laid end to end: what a split of a dataset is held as. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class TokenizedSplit:
    """The phrases of one split as ids, laid end to end, and as text.

    `tokens` uint16 or uint32: all ids, no specials; line i has `tokens[offsets[i]:offsets[i + 1]]`.
    `offsets` int64 [n + 1]. `has_eos` bool [n]: an end token follows the line (not where it was
    truncated: the phrase does not end there). `bytes_` int64 [n]: the line's UTF-8 bytes, plus 1
    for its end where it has one; what bits per byte are counted over. `numbers` int64 [n]: the line
    of the file. `utf8` uint8: the text of all lines end to end.
    """

    tokens: NDArray[np.unsignedinteger[Any]]
    offsets: NDArray[np.int64]
    has_eos: NDArray[np.bool_]
    bytes_: NDArray[np.int64]
    numbers: NDArray[np.int64]
    utf8: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.has_eos)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Positions each line takes, int64 [n]: its tokens, plus one where it has an end."""
        return np.diff(self.offsets) + self.has_eos

    @cached_property
    def text_offsets(self) -> NDArray[np.int64]:
        """Where each line's bytes start in `utf8`, int64 [n + 1]."""
        return offsets_of(self.bytes_ - self.has_eos)

    def text_bytes(self, index: int) -> bytes:
        """The UTF-8 of line `index`."""
        start, stop = self.text_offsets[index], self.text_offsets[index + 1]
        return self.utf8[start:stop].tobytes()

    def text(self, index: int) -> str:
        """Line `index` as text; one truncated inside a character ends in U+FFFD."""
        return self.text_bytes(index).decode("utf-8", "replace")

    def texts(self) -> list[str]:
        """All lines as text."""
        return [self.text(index) for index in range(len(self))]


def offsets_of(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of `counts` [n] entries start when they are laid end to end, int64 [n + 1]."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def cut_lines(
    split: TokenizedSplit, over: NDArray[np.bool_], keep: int, sizes: NDArray[np.int64]
) -> TokenizedSplit:
    """The split with `keep` tokens of each line that is `over`; with 0, without those lines.

    `sizes` int64 [vocab_size]: how many bytes each id stands for.
    """
    if not over.any():
        return split
    counts = np.where(over, keep, np.diff(split.offsets))
    tokens = split.tokens[_first(counts, split.offsets)]
    # The bytes before each token: their differences between line starts are the lines' own.
    text_counts = np.diff(offsets_of(sizes[tokens])[offsets_of(counts)])
    has_eos = split.has_eos & ~over
    kept = counts > 0
    return TokenizedSplit(
        tokens=tokens,
        offsets=offsets_of(counts[kept]),
        has_eos=has_eos[kept],
        bytes_=(text_counts + has_eos)[kept],
        numbers=split.numbers[kept],
        utf8=split.utf8[_first(text_counts, split.text_offsets)],
    )


def _first(counts: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of a flat array whose rows start at `offsets`, a mask of the first `counts[i]` of row i."""
    stops = np.repeat(offsets[:-1] + counts, np.diff(offsets))
    return np.asarray(np.arange(offsets[-1]) < stops)
