"""From a text file to three tokenised splits, built once and cached by content.

The cache holds what depends on the text alone; `max_seq_len` and the policy for phrases beyond it
are applied after loading, so changing them builds nothing anew. Torch-free.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from tp_core.data.lines import Lines, parse_lines, read_bytes
from tp_core.data.splits import split_lines, split_text
from tp_core.data.text import cut_chunks, parse_text, tokenize_text
from tp_core.data.tokenized import TokenizedSplit, cut_lines, offsets_of
from tp_core.data.tokenizer import Tokenizer
from tp_core.errors import RunFailed, TpError
from tp_core.files import replace_file

__all__ = ["Counts", "Dataset", "Layout", "Overlong", "TokenizedSplit", "load_dataset"]

# Part of every cache key; raise it when the arrays, the split or the tokenizer training change.
_FORMAT = 2
_LINES_AT_ONCE = 20_000  # lines tokenised at a time: Python lists of ids are large
_NAMES = ("train", "val", "test")

Overlong = Literal["error", "truncate", "drop"]
Layout = Literal["lines", "packed", "text"]


_COLUMNS = tuple(column.name for column in fields(TokenizedSplit))


@dataclass(frozen=True)
class Counts:
    """Phrases in the file, blank lines in it, phrases that repeat an earlier one.

    By split: phrases `used`, and those `overlong` (truncated or dropped). Of a continuous text, the
    phrases are its chunks, and the other counts are 0.
    """

    lines: int
    blank: int
    duplicates: int
    used: dict[str, int] = field(default_factory=dict)
    overlong: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Everything a training reads. `sha256` is the file's."""

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
    layout: Layout = "lines",
    tokenizer: Tokenizer | None = None,
) -> Dataset:
    """Read, split and tokenise `path`, with a tokenizer trained on the training split.

    A given `tokenizer` (a resumed run's) is used instead of training one. A line takes one position
    per token and one for its end. Longer than `max_seq_len`, it is an error; or, with `overlong`
    "truncate", keeps its first `max_seq_len` tokens and no end, so that no false end is learned;
    or, with "drop", is left out. With `layout` "text", the lines are chunks of `max_seq_len` tokens
    cut from the file as one text, and `split_seed` and `overlong` have nothing to do; "packed" has
    the lines of "lines". Raises TpError for what is wrong with the file or these settings.
    """
    data = read_bytes(path)
    sha256 = hashlib.sha256(data).hexdigest()
    fractions = {"val_fraction": val_fraction, "test_fraction": test_fraction}
    training = {"model_type": model_type, "vocab_size": vocab_size}
    model = hashlib.sha256(tokenizer.model_bytes).hexdigest() if tokenizer else training
    continuous = layout == "text"
    cache = _cache_file(sha256, split_seed, fractions, model, *(["text"] if continuous else []))
    whole = _read_cache(cache, sha256)
    if whole is None:

        def learned(texts: Sequence[str]) -> Tokenizer:
            # Seeded like the split: the vocabulary belongs to the data, the same for every run.
            return tokenizer or Tokenizer.train(
                texts, model_type=model_type, vocab_size=vocab_size, seed=split_seed
            )

        if continuous:
            whole = _text(path, data, fractions, learned, sha256)
        else:
            whole = _phrases(path, data, fractions, split_seed, learned, sha256)
        if cache:
            _write_cache(cache, whole)
    if continuous:
        return _chunks(whole, max_seq_len)
    return _fitted(path, whole, overlong, max_seq_len)


def _phrases(
    path: Path,
    data: bytes,
    fractions: Mapping[str, float],
    split_seed: int,
    learned: Callable[[Sequence[str]], Tokenizer],
    sha256: str,
) -> Dataset:
    found = parse_lines(path, data)
    try:
        split = split_lines(found.lines, split_seed=split_seed, **fractions)
    except TpError as error:
        raise TpError(f"{path}: {error}") from None
    tokenizer = learned([found.lines[index] for index in split.train])
    parts = (split.train, split.val, split.test)
    train, val, test = (_tokenize(path, found, part, tokenizer) for part in parts)
    counts = Counts(len(found.lines), found.blank, len(found.lines) - len(set(found.lines)))
    return Dataset(tokenizer, train, val, test, sha256, counts)


def _text(
    path: Path,
    data: bytes,
    fractions: Mapping[str, float],
    learned: Callable[[Sequence[str]], Tokenizer],
    sha256: str,
) -> Dataset:
    """Each split as one line without an end; `_pieces` cuts it."""
    text = parse_text(path, data)
    try:
        parts = split_text(text, **fractions)
    except TpError as error:
        raise TpError(f"{path}: {error}") from None
    tokenizer = learned([row for row in parts[0].text.split("\n") if row])
    train, val, test = (tokenize_text(path, part, tokenizer) for part in parts)
    return Dataset(tokenizer, train, val, test, sha256, Counts(0, 0, 0))


def _chunks(whole: Dataset, max_seq_len: int) -> Dataset:
    sizes = _piece_sizes(whole.tokenizer)
    train, val, test = (
        cut_chunks(split, max_seq_len, sizes) for split in (whole.train, whole.val, whole.test)
    )
    used = {"train": len(train), "val": len(val), "test": len(test)}
    counts = Counts(sum(used.values()), 0, 0, used, dict.fromkeys(used, 0))
    return replace(whole, train=train, val=val, test=test, counts=counts)


def _piece_sizes(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """How many bytes each id stands for, int64 [vocab_size]."""
    return np.array([len(piece) for piece in tokenizer.piece_bytes], np.int64)


def _tokenize(
    path: Path, found: Lines, indices: NDArray[np.int64], tokenizer: Tokenizer
) -> TokenizedSplit:
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    piece_bytes = tokenizer.piece_bytes
    flat: list[NDArray[np.unsignedinteger[Any]]] = [np.empty(0, dtype)]
    texts: list[bytes] = []
    counts: list[int] = []
    for start in range(0, len(indices), _LINES_AT_ONCE):
        chunk = indices[start : start + _LINES_AT_ONCE]
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
        offsets=offsets_of(np.array(counts, np.int64)),
        has_eos=np.ones(len(indices), np.bool_),
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
    sizes = _piece_sizes(whole.tokenizer)
    cut = {name: cut_lines(split, over[name], keep, sizes) for name, split in splits.items()}
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
    with suppress(OSError, RunFailed):  # costs time at the next start, nothing else
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, hashlib.sha256(payload).digest() + payload)
