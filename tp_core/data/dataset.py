"""From a phrase file to three tokenised splits, built once and cached by content.

The cache holds what depends on the text alone; `max_seq_len` and the policy for phrases beyond it
are applied after loading, so changing them builds nothing anew. Torch-free.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from tp_core.data.lines import Lines, parse_lines, read_bytes, split_lines
from tp_core.errors import TpError
from tp_core.tokenizer import Tokenizer

# Part of every cache key; raise it when the arrays, the split or the tokenizer training change.
_FORMAT = 1
_CHUNK = 20_000  # lines tokenised at a time: Python lists of ids are large
_NAMES = ("train", "val", "test")

Overlong = Literal["error", "truncate", "drop"]


@dataclass(frozen=True, eq=False)
class TokenizedSplit:
    """The phrases of one split as ids, laid end to end, and as text.

    `tokens` uint16 or uint32: all ids, no specials; line i has `tokens[offsets[i]:offsets[i + 1]]`.
    `offsets` int64 [n + 1]. `ends` bool [n]: an end token follows the line (not where it was
    truncated: the phrase does not end there). `bytes_` int64 [n]: the line's UTF-8 bytes, plus 1
    for its end where it has one; what bits per byte are counted over. `numbers` int64 [n]: the line
    of the file. `utf8` uint8: the text of all lines end to end.
    """

    tokens: NDArray[np.unsignedinteger[Any]]
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


_COLUMNS = tuple(column.name for column in fields(TokenizedSplit))


@dataclass(frozen=True)
class Counts:
    """Phrases in the file, blank lines in it, phrases that repeat an earlier one.

    By split: phrases `used`, and those `overlong` (truncated or dropped).
    """

    lines: int
    blank: int
    duplicates: int
    used: dict[str, int] = field(default_factory=dict)
    overlong: dict[str, int] = field(default_factory=dict)


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
    "truncate", keeps its first `max_seq_len` tokens and no end, so that no false end is learned;
    or, with "drop", is left out. Raises TpError for what is wrong with the file or these settings.
    """
    data = read_bytes(path)
    sha256 = hashlib.sha256(data).hexdigest()
    fractions = {"val_fraction": val_fraction, "test_fraction": test_fraction}
    training = {"model_type": model_type, "vocab_size": vocab_size}
    model = hashlib.sha256(tokenizer.model_bytes).hexdigest() if tokenizer else training
    cache = _cache_file(sha256, split_seed, fractions, model)
    whole = _read_cache(cache, sha256)
    if whole is None:
        found = parse_lines(path, data)
        try:
            split = split_lines(found.lines, split_seed=split_seed, **fractions)
        except TpError as error:
            raise TpError(f"{path}: {error}") from None
        # Seeded like the split: the vocabulary belongs to the data and is the same for every run.
        texts = [found.lines[index] for index in split.train]
        tokenizer = tokenizer or Tokenizer.train(
            texts, model_type=model_type, vocab_size=vocab_size, seed=split_seed
        )
        parts = (split.train, split.val, split.test)
        train, val, test = (_tokenize(path, found, part, tokenizer) for part in parts)
        counts = Counts(len(found.lines), found.blank, len(found.lines) - len(set(found.lines)))
        whole = Dataset(tokenizer, train, val, test, sha256, counts)
        if cache:
            _write_cache(cache, whole)
    return _fitted(path, whole, overlong, max_seq_len)


def _tokenize(
    path: Path, found: Lines, indices: NDArray[np.int64], tokenizer: Tokenizer
) -> TokenizedSplit:
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    piece_bytes = tokenizer.piece_bytes
    flat: list[NDArray[np.unsignedinteger[Any]]] = [np.empty(0, dtype)]
    texts: list[bytes] = []
    counts: list[int] = []
    for start in range(0, len(indices), _CHUNK):
        chunk = indices[start : start + _CHUNK]
        rows = tokenizer.encode_many([found.lines[index] for index in chunk])
        for index, ids in zip(chunk, rows, strict=True):
            text = found.lines[index].encode()
            if b"".join([piece_bytes[token] for token in ids]) != text:
                raise TpError(
                    f"{path}:{found.numbers[index]}: this tokenizer loses part of the phrase; it "
                    "normalises text or has no byte fallback, so train a new one"
                )
            texts.append(text)
            counts.append(len(ids))
        flat.append(np.array([token for ids in rows for token in ids], dtype))
    return TokenizedSplit(
        tokens=np.concatenate(flat),
        offsets=_offsets(np.array(counts, np.int64)),
        ends=np.ones(len(indices), np.bool_),
        bytes_=np.array([len(text) + 1 for text in texts], np.int64),
        numbers=found.numbers[indices],
        utf8=np.frombuffer(b"".join(texts), np.uint8),
    )


def _fitted(path: Path, whole: Dataset, overlong: Overlong, max_seq_len: int) -> Dataset:
    """`whole` without what is too long for `max_seq_len`. Raises TpError by the policy "error"."""
    splits = {"train": whole.train, "val": whole.val, "test": whole.test}
    over = {name: split.lengths > max_seq_len for name, split in splits.items()}
    numbers = np.concatenate([split.numbers[over[name]] for name, split in splits.items()])
    if len(numbers) and overlong == "error":
        longest = max(int(split.lengths.max(initial=0)) for split in splits.values())
        raise TpError(
            f"{path}:{numbers.min()}: the first of the phrases too long for model.max_seq_len = "
            f"{max_seq_len} ({len(numbers)} of {whole.counts.lines}); set that to {longest}, which "
            'fits the longest, or data.overlong to "truncate" or "drop"'
        )
    keep = max_seq_len if overlong == "truncate" else 0
    sizes = np.array([len(piece) for piece in whole.tokenizer.piece_bytes], np.int64)
    cut = {name: _cut(split, over[name], keep, sizes) for name, split in splits.items()}
    for name, split in splits.items():
        if len(split) and not len(cut[name]):
            raise TpError(
                f"{path}: no phrase of the {name} split fits model.max_seq_len = {max_seq_len}, so "
                'data.overlong = "drop" leaves none; raise model.max_seq_len'
            )
    counts = replace(
        whole.counts,
        used={name: len(split) for name, split in cut.items()},
        overlong={name: int(mask.sum()) for name, mask in over.items()},
    )
    return replace(whole, train=cut["train"], val=cut["val"], test=cut["test"], counts=counts)


def _cut(
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
    stops = np.repeat(offsets[:-1] + counts, np.diff(offsets))
    return np.asarray(np.arange(offsets[-1]) < stops)


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def _cache_file(*key: object) -> Path | None:
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
    versioned = json.dumps([_FORMAT, sentencepiece.__version__, *key], sort_keys=True)
    name = hashlib.sha256(versioned.encode()).hexdigest()
    return root / "datasets" / f"{name}.bin"


def _read_cache(file: Path | None, sha256: str) -> Dataset | None:
    """The content of a cache file (a SHA-256 and the .npz it is of), or None if it is not whole."""
    try:
        stored = file.read_bytes() if file else b""
    except OSError:
        return None
    digest, payload = stored[:32], stored[32:]
    if hashlib.sha256(payload).digest() != digest:
        return None
    with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
        tokenizer = Tokenizer.from_bytes(arrays["tokenizer"].tobytes())
        train, val, test = (
            TokenizedSplit(*(arrays[f"{name}.{column}"] for column in _COLUMNS)) for name in _NAMES
        )
        counts = Counts(**json.loads(arrays["counts"].tobytes()))
        return Dataset(tokenizer, train, val, test, sha256, counts)


def _write_cache(file: Path, whole: Dataset) -> None:
    arrays: dict[str, Any] = {
        "tokenizer": np.frombuffer(whole.tokenizer.model_bytes, np.uint8),
        "counts": np.frombuffer(json.dumps(asdict(whole.counts)).encode(), np.uint8),
    }
    for name in _NAMES:
        for column in _COLUMNS:
            arrays[f"{name}.{column}"] = getattr(getattr(whole, name), column)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    payload = buffer.getvalue()
    temporary = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(hashlib.sha256(payload).digest() + payload)
        temporary.replace(file)
    except OSError:  # costs time at the next start, nothing else
        with contextlib.suppress(OSError):
            temporary.unlink()
