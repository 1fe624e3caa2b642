"""A text's suffixes in alphabetical order, and the longest match of anything with it.

All suffixes sorted (Manber and Myers 1993, Suffix arrays: a new method for on-line string searches)
bring those that begin alike together: what shares the longest beginning with a query stands right
before or after the place where the query would be sorted in. The order is libdivsufsort's; queries
are looked up all at once, comparing eight bytes at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pydivsufsort
from numpy.typing import NDArray

# Bytes that are in no UTF-8.
_END_OF_PHRASE = b"\xff"
_END_OF_QUERY = b"\xfe"
_CHUNK = 8


@dataclass(frozen=True, eq=False)
class Matches:
    """For every character of the queries, and the end of each, where the longest match begins.

    `query` int64: which query; `start` int64: at which of its characters. `characters` int64: how
    long the match is. `place` int64: where in the text it stands, in bytes.
    """

    query: NDArray[np.int64]
    start: NDArray[np.int64]
    characters: NDArray[np.int64]
    place: NDArray[np.int64]


class Suffixes:
    """The distinct phrases of a text, ready to be searched: five bytes for each of theirs."""

    def __init__(self, texts: Sequence[str]) -> None:
        phrases = "\n".join(dict.fromkeys(texts)).encode()
        body = phrases.replace(b"\n", _END_OF_PHRASE) + _END_OF_PHRASE
        self._order: NDArray[np.int32 | np.int64] = pydivsufsort.divsufsort(body)
        self._text = body + _END_OF_PHRASE * _CHUNK
        self._chunks = _chunks(self._text)

    def phrase(self, place: int) -> str:
        """The phrase that has this byte."""
        start = self._text.rfind(_END_OF_PHRASE, 0, place) + 1
        return self._text[start : self._text.find(_END_OF_PHRASE, place)].decode()

    def matches(self, queries: Sequence[str]) -> Matches:
        """The longest match, within one phrase, of what begins at each character of each query."""
        encoded = [text.encode() + _END_OF_QUERY for text in queries]
        joined = b"".join(encoded)
        chunks = _chunks(joined + _END_OF_QUERY * _CHUNK)
        later = (np.frombuffer(joined, np.uint8) & 0xC0) == 0x80  # bytes of a character, in UTF-8
        at = np.flatnonzero(~later)
        owner = np.repeat(np.arange(len(encoded)), [len(text) for text in encoded])[at]
        after = self._rank(chunks, at)
        best, place = np.zeros_like(at), np.zeros_like(at)
        for neighbour in (after - 1, after):
            there = self._order[np.clip(neighbour, 0, len(self._order) - 1)].astype(np.int64)
            length = self._common(there, chunks, at)
            better = length > best
            best, place = np.where(better, length, best), np.where(better, there, place)
        # A match of bytes may end inside a character, which then is no part of it.
        character = np.cumsum(~later) - 1
        first = np.searchsorted(owner, owner)
        return Matches(
            query=owner,
            start=np.arange(len(at)) - first,
            characters=character[at + best] - character[at],
            place=place,
        )

    def _rank(self, chunks: NDArray[np.uint64], at: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many suffixes of the text come before the suffix of the queries at each of `at`."""
        low, high = np.zeros_like(at), np.full_like(at, len(self._order))
        open_ = np.arange(len(at))
        while len(open_):
            middle = (low[open_] + high[open_]) // 2
            less = self._less(self._order[middle].astype(np.int64), chunks, at[open_])
            low[open_[less]] = middle[less] + 1
            high[open_[~less]] = middle[~less]
            open_ = open_[low[open_] < high[open_]]
        return low

    def _less(
        self, there: NDArray[np.int64], chunks: NDArray[np.uint64], at: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Whether the text from `there` on comes before the queries from `at` on."""
        less = np.zeros(len(at), np.bool_)
        tied, offset = np.arange(len(at)), 0
        while len(tied):
            ours = self._chunks[there[tied] + offset]
            theirs = chunks[at[tied] + offset]
            less[tied] = ours < theirs
            tied, offset = tied[ours == theirs], offset + _CHUNK
        return less

    def _common(
        self, there: NDArray[np.int64], chunks: NDArray[np.uint64], at: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """How many bytes the text from `there` on has in common with the queries from `at` on."""
        length = np.zeros(len(at), np.int64)
        tied, offset = np.arange(len(at)), 0
        while len(tied):
            differing = self._chunks[there[tied] + offset] ^ chunks[at[tied] + offset]
            for equal in range(1, _CHUNK + 1):
                length[tied] += differing < 1 << 8 * (_CHUNK - equal)
            tied, offset = tied[differing == 0], offset + _CHUNK
        return length


def _chunks(data: bytes) -> NDArray[np.uint64]:
    """The eight bytes from each byte on, as a number that sorts as they do; no copy is made.

    Never read past the end: the last chunk of a phrase has its end in it, and equals no other.
    """
    count = len(data) - _CHUNK + 1
    chunks: NDArray[np.uint64] = np.ndarray((count,), ">u8", data, strides=(1,))
    return chunks
