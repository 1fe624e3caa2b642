"""Which phrases, or which part of a text, are for training, validation and test. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tp_core.errors import TpError
from tp_core.rng import derive_seed, phrase_hashes


@dataclass(frozen=True, eq=False)
class Split:
    """Indices int64 into the phrases, ascending within each part."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """A stretch of a text, and the line of the file it begins on (from 1)."""

    text: str
    number: int


def split_lines(
    lines: Sequence[str], *, val_fraction: float, test_fraction: float, split_seed: int
) -> Split:
    """Assign every phrase to a part by a keyed hash of its text.

    The hash, read as a number in [0, 1), falls below `val_fraction` (val), below `val_fraction +
    test_fraction` (test) or neither (train). So a phrase keeps its part when others come or go, and
    two copies of it are always together. Raises TpError when train or val would be empty, or test
    while `test_fraction` > 0.
    """
    places = phrase_hashes(lines, derive_seed(split_seed, "split")) * 2.0**-64
    is_val = places < val_fraction
    is_test = ~is_val & (places < val_fraction + test_fraction)
    split = Split(
        train=np.flatnonzero(~is_val & ~is_test),
        val=np.flatnonzero(is_val),
        test=np.flatnonzero(is_test),
    )
    wanted = {"train": split.train, "val": split.val}
    if test_fraction > 0:
        wanted["test"] = split.test
    empty = [name for name, indices in wanted.items() if not len(indices)]
    if empty:
        raise TpError(
            f"{_counted(lines)} leave the {' and '.join(empty)} split empty (data.val_fraction = "
            f"{val_fraction:g}, data.test_fraction = {test_fraction:g}); add phrases or change "
            "the fractions"
        )
    return split


def _counted(lines: Sequence[str]) -> str:
    distinct = len(set(lines))
    return f"{len(lines)} phrase{'s' if len(lines) != 1 else ''}" + (
        f" ({distinct} distinct)" if distinct < len(lines) else ""
    )


def split_text(text: str, *, val_fraction: float, test_fraction: float) -> tuple[Part, Part, Part]:
    """Training, validation and test: contiguous, in this order, shares counted in characters.

    Raises TpError when training or validation would be empty, or test while `test_fraction` > 0.
    """
    stop = int(len(text) * (1 - val_fraction - test_fraction))
    last = int(len(text) * (1 - test_fraction)) if test_fraction else len(text)
    texts = {"train": text[:stop], "val": text[stop:last], "test": text[last:]}
    wanted = ["train", "val", *(["test"] if test_fraction else [])]
    empty = [name for name in wanted if not texts[name]]
    if empty:
        raise TpError(
            f"{len(text)} characters leave the {' and '.join(empty)} split empty "
            f"(data.val_fraction = {val_fraction:g}, data.test_fraction = {test_fraction:g}); add "
            "text or change the fractions"
        )
    starts = (0, stop, last)
    parts = zip(texts.values(), starts, strict=True)
    train, val, test = (Part(part, 1 + text.count("\n", 0, start)) for part, start in parts)
    return train, val, test
