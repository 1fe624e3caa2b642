"""Random numbers without hidden state.

Every random choice is a pure function of (seed, purpose, counters): no stream is ever advanced by
another one's use, so evaluating or sampling during training changes nothing, and resuming needs no
saved generator. Torch-free.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def derive_seed(seed: int, purpose: str, *counters: int | str) -> int:
    """A 63-bit key for one stream: the same arguments give the same key on every machine."""
    text = "\x1f".join([str(seed), purpose, *map(str, counters)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, purpose: str, *counters: int | str) -> np.random.Generator:
    """A NumPy generator at the start of one stream."""
    return np.random.Generator(np.random.Philox(key=derive_seed(seed, purpose, *counters)))


def phrase_hashes(phrases: Iterable[str | bytes], key: int) -> NDArray[np.uint64]:
    """A keyed 64-bit hash of each phrase's UTF-8 bytes: the same on every machine, in any order."""
    blake2b, secret = hashlib.blake2b, key.to_bytes(8, "little")
    digests = b"".join(
        blake2b(
            phrase.encode() if isinstance(phrase, str) else phrase, digest_size=8, key=secret
        ).digest()
        for phrase in phrases
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def counter_uniform(
    key: int, rows: NDArray[np.int64], positions: NDArray[np.int64], draw: int, n: int
) -> NDArray[np.float64]:
    """Uniforms in [0, 1), shape [B, n], each a hash of (key, row, position, draw, index).

    A counter hash instead of a generator makes a sample depend on its own row and position only,
    never on who else is in the batch. The mixer is the SplitMix64 finaliser (Steele et al., 2014).
    """
    with np.errstate(over="ignore"):
        state = np.full((len(rows), n), np.uint64(key), dtype=np.uint64)
        columns = (
            rows[:, None].astype(np.uint64),
            positions[:, None].astype(np.uint64),
            np.uint64(draw),
            np.arange(n, dtype=np.uint64)[None, :],
        )
        for column in columns:
            state = _splitmix(state ^ _splitmix(column + np.uint64(0x9E3779B97F4A7C15)))
    return np.asarray((state >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _splitmix(x: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    z = np.asarray(x, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
