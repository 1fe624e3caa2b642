"""What a model has to beat: character n-grams with Witten-Bell smoothing.

The probability of a character c after the context h (the characters before it) interpolates between
what followed h and the shorter context h' (h without its first character):

    P(c | h) = (count(h c) + T(h) P(c | h')) / (count(h) + T(h))

with T(h) the number of distinct characters seen after h; an unseen h passes to h'. The empty
context falls back on one over the number of characters there are. Witten and Bell, 1991, in the
interpolated form of Chen and Goodman, 1999. NumPy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALPHABET_SIZE = 0x110000 - 0x800 + 1
"""Every code point that UTF-8 can carry (surrogates are none), and the end of the line."""

_END = 0x110000
_SYMBOLS = 0x110001
_UNSEEN = -1


@dataclass(frozen=True, eq=False)
class _Level:
    """Contexts of one length, numbered 0, 1, … in the order of `contexts`.

    `contexts` int64: the number of the context one shorter, times _SYMBOLS, plus the character
    before it. `pairs` int64: the context's number times _SYMBOLS plus what followed, `count` times.
    `total` and `distinct` float64, by context: how many characters followed, how many different.
    """

    contexts: NDArray[np.int64]
    pairs: NDArray[np.int64]
    count: NDArray[np.float64]
    total: NDArray[np.float64]
    distinct: NDArray[np.float64]


class CharNgram:
    """Predicts each character and the end of a line from the `order` - 1 characters before it.

    The start of the line is the first character of a context, never predicted. `order` = 1 looks at
    no context: character frequencies alone.
    """

    def __init__(self, order: int) -> None:
        self.order = order
        self._levels: list[_Level] = []

    def fit(self, lines: Sequence[str]) -> CharNgram:
        """Count `lines`, at least one, in place of any counted before; returns itself."""
        symbols, depth = _symbols(lines)
        self._levels = []
        contexts = np.zeros(len(symbols), np.int64)
        keys = np.zeros(1, np.int64)  # the one context of length 0
        for length in range(self.order):
            if length:
                extended = _extended(contexts, symbols, depth, length)
                keys = np.unique(extended[extended >= 0])
                contexts = _find(keys, extended)
            known = contexts >= 0
            pairs, counts = np.unique(
                contexts[known] * _SYMBOLS + symbols[known], return_counts=True
            )
            of = pairs // _SYMBOLS
            self._levels.append(
                _Level(
                    contexts=keys,
                    pairs=pairs,
                    count=counts.astype(np.float64),
                    total=np.bincount(of, counts, minlength=len(keys)).astype(np.float64),
                    distinct=np.bincount(of, minlength=len(keys)).astype(np.float64),
                )
            )
        return self

    def bits(self, lines: Sequence[str]) -> NDArray[np.float64]:
        """Minus log2 of each symbol's probability: every character of each line, then its end.

        Shape [sum(len(line) + 1)].
        """
        symbols, depth = _symbols(lines)
        probability = np.full(len(symbols), 1 / ALPHABET_SIZE)
        contexts = np.zeros(len(symbols), np.int64)
        for length, level in enumerate(self._levels):
            if length:
                extended = _extended(contexts, symbols, depth, length)
                contexts = _find(level.contexts, extended)
            known = contexts >= 0
            here = contexts[known]
            pairs = _find(level.pairs, here * _SYMBOLS + symbols[known])
            count = np.where(pairs >= 0, level.count[pairs], 0.0)
            distinct = level.distinct[here]
            smoothed = count + distinct * probability[known]
            probability[known] = smoothed / (level.total[here] + distinct)
        return np.asarray(-np.log2(probability))

    def bits_per_byte(self, lines: Sequence[str], *, has_eos: bool = True) -> float:
        """Summed bits of whole lines over the sum of (UTF-8 bytes + 1). Needs at least one line.

        Without `has_eos`, the ends of lines count neither as bits nor as bytes.
        """
        bits = self.bits(lines)
        if not has_eos:
            bits = np.delete(bits, np.cumsum([len(line) + 1 for line in lines]) - 1)
        return float(bits.sum() / sum(len(line.encode()) + has_eos for line in lines))


def _symbols(lines: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All lines as code points, each followed by _END; and every symbol's place in its line."""
    lengths = np.fromiter((len(line) + 1 for line in lines), np.int64, len(lines))
    ends = np.cumsum(lengths) - 1
    symbols = np.full(int(lengths.sum()), _END, np.int64)
    inside = np.ones(len(symbols), np.bool_)
    inside[ends] = False
    symbols[inside] = np.frombuffer("".join(lines).encode("utf-32-le"), "<u4")
    return symbols, np.arange(len(symbols)) - np.repeat(ends + 1 - lengths, lengths)


def _extended(
    contexts: NDArray[np.int64],
    symbols: NDArray[np.int64],
    depth: NDArray[np.int64],
    length: int,
) -> NDArray[np.int64]:
    """Each context, `length` - 1 long, made one longer; _UNSEEN where it is or it can't be.

    At `depth` d there are d characters of its line before a symbol. Before those stands the _END of
    another line (the roll gives the first line the last one's): the start of this one.
    """
    possible = (contexts >= 0) & (depth >= length - 1)
    return np.where(possible, contexts * _SYMBOLS + np.roll(symbols, length), _UNSEEN)


def _find(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """The index of each `wanted` in the sorted `keys`, _UNSEEN where it isn't there."""
    if not len(keys):
        return np.full(len(wanted), _UNSEEN, np.int64)
    index = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[index] == wanted, index, _UNSEEN)
