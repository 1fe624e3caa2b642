"""From a phrase file to three tokenised splits, built once and cached by content.

The cache holds what depends on the text alone; `max_seq_len` and the policy for phrases that exceed it
are applied after loading, so changing them builds nothing anew. Torch-free.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from tp_core.data.lines import parse_lines, read_bytes, split_lines
from tp_core.errors import TpError
from tp_core.tokenizer import Tokenizer

# Part of every cache key: raise it when the arrays below, the split or the tokenizer training change.
_FORMAT = 1
_CHUNK = 20_000  # lines tokenised at a time: Python lists of ids are large
_NAMES = ("train", "val", "test")

Overlong = Literal["error", "truncate", "drop"]


@dataclass(frozen=True, eq=False)
class TokenizedSplit:
    """The phrases of one split as ids, laid end to end, and as text.

    `tokens` uint16 or uint32: all ids, no specials; line i has `tokens[offsets[i]:offsets[i + 1]]`.
    `offsets` int64 [n + 1]. `ends` bool [n]: an end token follows the line (False where it was
    truncated, since the phrase does not end there). `bytes_` int64 [n]: the UTF-8 bytes of the line,
    plus 1 for its end where it has one: what bits per byte are counted over. `numbers` int64 [n]:
    the line of the file. `utf8` uint8: the text of all lines end to end.
    """

    tokens: NDArray[np.uint16] | NDArray[np.uint32]
    offsets: NDArray[np.int64]
    ends: NDArray[np.bool_]
    bytes_: NDArray[np.int64]
    numbers: NDArray[np.int64]
    utf8: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.ends)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Positions each line takes, int64 [n]: its tokens, plus one where it has an end."""
        return np.diff(self.offsets) + self.ends

    @cached_property
    def text_offsets(self) -> NDArray[np.int64]:
        """Where each line's bytes start in `utf8`, int64 [n + 1]."""
        return _offsets(self.bytes_ - self.ends)

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


@dataclass(frozen=True)
class SplitCounts:
    """`lines` used, the `tokens` (ends included) and `bytes` in them, and how many were `overlong`."""

    lines: int
    tokens: int
    bytes: int
    overlong: int


@dataclass(frozen=True)
class Counts:
    """Phrases in the file, blank lines in it, phrases that repeat an earlier one, and the splits."""

    lines: int
    blank: int
    duplicates: int
    train: SplitCounts
    val: SplitCounts
    test: SplitCounts


@dataclass(frozen=True, eq=False)
class Dataset:
    """Everything a training reads. `sha256` is the phrase file's."""

    tokenizer: Tokenizer
    train: TokenizedSplit
    val: TokenizedSplit
    test: TokenizedSplit
    sha256: str
    counts: Counts


def load_dataset(
    *,
    path: Path,
    val_fraction: float,
    test_fraction: float,
    split_seed: int,
    overlong: Overlong,
    model_type: str,
    vocab_size: int,
    max_seq_len: int,
    tokenizer: Tokenizer | None = None,
) -> Dataset:
    """Read, split and tokenise `path`, with a tokenizer trained on the training split.

    A given `tokenizer` (a resumed run's) is used instead of training one. A line takes one position
    per token and one for its end. Longer than `max_seq_len`, it is an error; or, with `overlong`
    "truncate", keeps its first `max_seq_len` tokens and has no end token, so that no false end is
    learned; or, with "drop", is left out. Raises TpError for anything wrong with the file or with
    these settings.
    """
    data = read_bytes(path)
    sha256 = hashlib.sha256(data).hexdigest()
    trained = {"model_type": model_type, "vocab_size": vocab_size}
    given = tokenizer and hashlib.sha256(tokenizer.model_bytes).hexdigest()
    cache = _cache_file(
        {
            "format": _FORMAT,
            "sentencepiece": sentencepiece.__version__,
            "sha256": sha256,
            "val_fraction": val_fraction,
            "test_fraction": test_fraction,
            "split_seed": split_seed,
            "tokenizer": given or trained,
        }
    )
    whole = _read_cache(cache)
    if whole is None:
        whole = _build(parse_lines(path, data), path, val_fraction, test_fraction, split_seed, tokenizer)
        _write_cache(cache, whole)
    return _fitted(path, whole, overlong, max_seq_len)


def _tokenize(
    path: Path, lines: Sequence[str], numbers: NDArray[np.int64], tokenizer: Tokenizer
) -> TokenizedSplit:
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    piece_bytes = tokenizer.piece_bytes
    flat: list[NDArray[np.uint16] | NDArray[np.uint32]] = [np.empty(0, dtype)]
    texts: list[bytes] = []
    counts: list[int] = []
    for start in range(0, len(lines), _CHUNK):
        chunk = lines[start : start + _CHUNK]
        rows = tokenizer.encode_many(chunk)
        for place, (line, ids) in enumerate(zip(chunk, rows, strict=True), start):
            text = line.encode()
            if b"".join([piece_bytes[token] for token in ids]) != text:
                raise TpError(
                    f"{path}:{numbers[place]}: this phrase is lost in the tokenizer; it was "
                    "trained without byte fallback or normalises text, so train a new one"
                )
            texts.append(text)
            counts.append(len(ids))
        flat.append(np.array([token for ids in rows for token in ids], dtype))
    return TokenizedSplit(
        tokens=np.concatenate(flat),
        offsets=_offsets(np.array(counts, np.int64)),
        ends=np.ones(len(lines), np.bool_),
        bytes_=np.array([len(text) + 1 for text in texts], np.int64),
        numbers=numbers,
        utf8=np.frombuffer(b"".join(texts), np.uint8),
    )


def _fitted(path: Path, whole: Dataset, overlong: Overlong, max_seq_len: int) -> Dataset:
    """`whole` without its phrases longer than `max_seq_len`, or without what is too much of them."""
    splits = {name: getattr(whole, name) for name in _NAMES}
    over = {name: split.lengths > max_seq_len for name, split in splits.items()}
    numbers = np.concatenate([split.numbers[over[name]] for name, split in splits.items()])
    if len(numbers) and overlong == "error":
        others = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
        longest = max(int(split.lengths.max(initial=0)) for split in splits.values())
        raise TpError(
            f"{path}:{numbers.min()}: this phrase{others} won't fit model.max_seq_len = "
            f"{max_seq_len}; set it to {longest} (the longest), or data.overlong to "
            '"truncate" or "drop"'
        )
    for name, split in splits.items():
        splits[name] = _cut(split, over[name], max_seq_len, overlong, whole.tokenizer)
        if len(split) and not len(splits[name]):
            raise TpError(
                f'{path}: data.overlong = "drop" drops the whole {name} split: every phrase of it '
                f"is longer than model.max_seq_len = {max_seq_len}; raise that"
            )
    counts = {
        name: SplitCounts(
            lines=len(split),
            tokens=int(split.lengths.sum()),
            bytes=int(split.bytes_.sum()),
            overlong=int(over[name].sum()),
        )
        for name, split in splits.items()
    }
    return replace(whole, **splits, counts=replace(whole.counts, **counts))


def _cut(
    split: TokenizedSplit,
    over: NDArray[np.bool_],
    max_seq_len: int,
    overlong: Overlong,
    tokenizer: Tokenizer,
) -> TokenizedSplit:
    if not over.any():
        return split
    counts = np.where(over, max_seq_len if overlong == "truncate" else 0, np.diff(split.offsets))
    tokens = split.tokens[_first(counts, split.offsets)]
    # The bytes before each token: their differences between line starts are the lines' own.
    sizes = np.array([len(piece) for piece in tokenizer.piece_bytes], np.int64)
    text_counts = np.diff(_offsets(sizes[tokens])[_offsets(counts)])
    ends = split.ends & ~over
    kept = counts > 0
    return TokenizedSplit(
        tokens=tokens,
        offsets=_offsets(counts[kept]),
        ends=ends[kept],
        bytes_=(text_counts + ends)[kept],
        numbers=split.numbers[kept],
        utf8=split.utf8[_first(text_counts, split.text_offsets)],
    )


def _first(counts: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of a flat array whose rows start at `offsets`, a mask of the first `counts[i]` of row i."""
    old = np.diff(offsets)
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], old)
    return np.asarray(within < np.repeat(counts, old))


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def _cache_file(key: Mapping[str, object]) -> Path | None:
    """Where content with this key is kept, or None where there is no home for it."""
    if folder := os.environ.get("TP_CACHE_DIR"):
        root = Path(folder)
    elif Path(base := os.environ.get("XDG_CACHE_HOME", "")).is_absolute():
        root = Path(base) / "transformer-playground"
    else:
        try:
            root = Path.home() / ".cache" / "transformer-playground"
        except RuntimeError:  # no home directory
            return None
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return root / "datasets" / f"{name}.bin"


def _read_cache(file: Path | None) -> _Content | None:
    """The content of a cache file (a SHA-256 and the .npz it is of), or None if it is not whole."""
    try:
        stored = file.read_bytes() if file else b""
    except OSError:
        return None
    digest, payload = stored[:32], stored[32:]
    if hashlib.sha256(payload).digest() != digest:
        return None
    with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
        splits = {
            name: TokenizedSplit(**{field: arrays[f"{name}.{field}"] for field in _ARRAYS})
            for name in _NAMES
        }
        counts = Counts(**json.loads(arrays["counts"].tobytes()))
        return Dataset(Tokenizer.from_bytes(arrays["tokenizer"].tobytes()), **splits, counts=counts)


def _write_cache(file: Path | None, whole: Dataset) -> None:
    if file is None:
        return
    arrays: dict[str, NDArray[np.generic]] = {
        "tokenizer": np.frombuffer(whole.tokenizer.model_bytes, np.uint8),
        "counts": np.frombuffer(json.dumps(asdict(whole.counts)).encode(), np.uint8),
    }
    for name in _NAMES:
        for field in _ARRAYS:
            arrays[f"{name}.{field}"] = getattr(getattr(whole, name), field)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    payload = buffer.getvalue()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as handle:
            temporary = Path(handle.name)
            handle.write(hashlib.sha256(payload).digest())
            handle.write(payload)
        temporary.replace(file)
    except OSError:
        return  # a cache that can't be written costs time, nothing else
