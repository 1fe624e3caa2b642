"""What a model's bits per byte are held against: models that look at next to nothing."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tp_core.data.dataset import Dataset, TokenizedSplit
from tp_core.evaluation.char_ngram import CharNgram

MOST_LINES = 100_000
"""Training lines that characters are counted over, at most: more would hardly move the figures."""

_CHUNK = 10_000


def baselines(dataset: Dataset, *, has_eos: bool = True) -> dict[str, float]:
    """Bits per byte on the validation lines, by model.

    `token_unigram` knows how frequent each token is in the training split, one added to each count
    (Laplace); `character_unigram` and `character_5gram` are `CharNgram`'s. Without `has_eos` the
    lines are chunks of one continuous text, which the character models read across.
    """
    train, val = dataset.train, dataset.val
    lines, held_out = (
        texts(train, MOST_LINES, has_eos=has_eos),
        texts(val, len(val), has_eos=has_eos),
    )
    return {
        "token_unigram": _token_unigram(dataset),
        "character_unigram": _characters(1, lines, held_out, has_eos=has_eos),
        "character_5gram": _characters(5, lines, held_out, has_eos=has_eos),
    }


def texts(split: TokenizedSplit, most: int, *, has_eos: bool) -> list[str]:
    """The first lines of a split, `most` of them; as one text where they are its chunks."""
    count = min(len(split), most)
    if has_eos:
        return [split.text(index) for index in range(count)]
    # A chunk may end inside a character, and the last one here may not be the last there is.
    return [split.utf8[: split.text_offsets[count]].tobytes().decode("utf-8", "ignore")]


def _characters(order: int, lines: list[str], held_out: list[str], *, has_eos: bool) -> float:
    """Bits per byte of a character model, asked about some lines at a time to save memory."""
    model = CharNgram(order).fit(lines)
    bits = total = 0.0
    for start in range(0, len(held_out), _CHUNK):
        chunk = held_out[start : start + _CHUNK]
        size = sum(len(line.encode()) + has_eos for line in chunk)
        bits += model.bits_per_byte(chunk, has_eos=has_eos) * size
        total += size
    return bits / total


def _token_unigram(dataset: Dataset) -> float:
    size, end = dataset.tokenizer.vocab_size, dataset.tokenizer.eos_id
    counts = _counts(dataset.train, size, end) + 1
    bits = -np.log2(counts / counts.sum())
    return math.fsum(_counts(dataset.val, size, end) * bits) / int(dataset.val.bytes_.sum())


def _counts(split: TokenizedSplit, size: int, end: int) -> NDArray[np.int64]:
    """How often each token is to be predicted, int64 [vocab_size]."""
    counts = np.bincount(split.tokens, minlength=size)
    counts[end] += int(split.has_eos.sum())
    return counts
