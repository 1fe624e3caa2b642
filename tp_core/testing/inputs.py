"""Inputs of the tested models: sizes, layouts, and tokens and noise that depend on a purpose."""

from __future__ import annotations

import torch
from torch import Tensor

from tp_core.interfaces.sequence import SequenceInfo
from tp_core.interfaces.vocabulary import Vocabulary
from tp_core.rng import derive_seed

# Small enough to be quick; even, and with several heads, so that most sizes divide.
SIZES = {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 144}
VOCAB = 29
# Letters, digits, words, and the two bytes of é.
_PIECES = (*"abcdefghij", *"0123", " ", "é", "the", " the", "ab", "aba", " 1")
VOCABULARY = Vocabulary(
    (*[b""] * 4, *(piece.encode() for piece in _PIECES), b"\xc3", b"\xa9", b".", b"\n"),
    *(0, 1, 2, 3),
)
LENGTH = 10  # tokens in most rows
LONG = 140  # more than the blocks that algorithms cut rows into: 16, 32, 64 or 128
CPU = torch.device("cpu")


def noise(purpose: str, *shape: int) -> Tensor:
    """Standard normal numbers that depend only on `purpose`."""
    generator = torch.Generator().manual_seed(derive_seed(0, "conformance", purpose))
    return torch.randn(shape, generator=generator)


def some_tokens(batch: int, length: int = LENGTH, purpose: str = "") -> Tensor:
    """Token ids [batch, length] that depend only on `purpose`."""
    generator = torch.Generator().manual_seed(derive_seed(0, "tokens", purpose))
    return torch.randint(VOCAB, (batch, length), generator=generator)


def full_rows(batch: int, length: int = LENGTH) -> SequenceInfo:
    """One whole document per row."""
    return SequenceInfo.of_rows(torch.full((batch,), length), length)


def masked(batch: int, length: int = LENGTH) -> SequenceInfo:
    """The same without `causal_only`, so that attention uses its mask."""
    return SequenceInfo.of_positions(full_rows(batch, length).positions)


PATHS = {"causal_only": full_rows, "masked": masked}


def left_padded(lengths: Tensor, width: int) -> Tensor:
    """Positions [B, width] of rows of these lengths, pads first."""
    return (torch.arange(width) - (width - lengths)[:, None]).clamp(min=-1)
