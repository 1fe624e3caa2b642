"""A continuous text: read as one, split into contiguous parts, cut into chunks. Torch-free.

The parts follow each other in the file: training, validation, test. A split by hash, as phrases
have it, would hold out chunks whose both neighbours are learned. Newlines are tokens like any
other. A chunk is predicted from the start token on and has no end token, as the text goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tp_core.data.lines import decode_file
from tp_core.data.splits import Part
from tp_core.data.tokenized import TokenizedSplit, offsets_of
from tp_core.data.tokenizer import Tokenizer
from tp_core.errors import TpError

_LINES_AT_ONCE = 20_000  # lines tokenised at a time: Python lists of ids are large
_NEWLINE = ord("\n")


def parse_text(path: Path, data: bytes) -> str:
    """The text in `data`, the content of `path`; a line end of "\\r\\n" becomes "\\n"."""
    text = decode_file(path, data).replace("\r\n", "\n")
    if not text or text.isspace():
        what = "is blank" if text else "is empty"
        raise TpError(f"{path}: {what}; put text in it, or set data.path")
    return text


def tokenize_text(path: Path, part: Part, tokenizer: Tokenizer) -> TokenizedSplit:
    """A part as one endless line, however long. `path` is only named in errors."""
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    rows = part.text.split("\n")
    newline = tokenizer.encode("\n")
    tokens: list[NDArray[np.unsignedinteger[Any]]] = [np.empty(0, dtype)]
    for start in range(0, len(rows), _LINES_AT_ONCE):
        # No token reaches across a line end, so that a line at a time is the same as all at once.
        encoded = tokenizer.encode_many(rows[start : start + _LINES_AT_ONCE])
        if start:
            tokens.append(np.array(newline, dtype))
        joined = [token for ids in encoded for token in (*ids, *newline)]
        tokens.append(np.array(joined[: len(joined) - len(newline)], dtype))
    ids, text = np.concatenate(tokens), part.text.encode()
    if b"".join([tokenizer.piece_bytes[token] for token in ids]) != text:
        raise TpError(
            f"{path}: this tokenizer loses part of the text; it normalises text or has no byte "
            "fallback, so train a new one"
        )
    some = int(bool(text))  # an unwanted test split is no line, not an empty one
    return TokenizedSplit(
        tokens=ids,
        offsets=offsets_of(np.array([len(ids)] * some, np.int64)),
        has_eos=np.zeros(some, np.bool_),
        bytes_=np.array([len(text)] * some, np.int64),
        numbers=np.array([part.number] * some, np.int64),
        utf8=np.frombuffer(text, np.uint8),
    )


def cut_chunks(whole: TokenizedSplit, size: int, sizes: NDArray[np.int64]) -> TokenizedSplit:
    """What `tokenize_text` made in chunks of `size` tokens, the last one of what is left.

    `sizes` int64 [vocab_size]: how many bytes each id stands for. A chunk has no end, and its
    number is the line of the file it begins on.
    """
    count = len(whole.tokens)
    starts = np.arange(0, count, size, dtype=np.int64)
    before = offsets_of(sizes[whole.tokens])
    newlines = offsets_of((whole.utf8 == _NEWLINE).astype(np.int64))
    return TokenizedSplit(
        tokens=whole.tokens,
        offsets=np.append(starts, count),
        has_eos=np.zeros(len(starts), np.bool_),
        bytes_=np.diff(before[np.append(starts, count)]),
        numbers=newlines[before[starts]] + (whole.numbers[0] if len(whole) else 0),
        utf8=whole.utf8,
    )
