"""The meaning of token ids, for samplers that need it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer's pieces by id, and its special ids.

    `pieces[id]` are the UTF-8 bytes of a token, empty for special tokens. Rare characters are
    encoded as one-byte pieces, so a piece can be part of a character.
    """

    pieces: tuple[bytes, ...]
    pad_id: int
    bos_id: int
    eos_id: int
    unk_id: int

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`. Bytes that form no character give U+FFFD."""
        return b"".join(self.pieces[token] for token in ids).decode("utf-8", "replace")
