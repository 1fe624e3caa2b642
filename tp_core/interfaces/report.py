"""What a metric may look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SplitScores:
    """How likely a model finds each of n lines.

    `nll` fp64 [n] in nats, end token included; `tokens` int64 [n] predicted ones; `bytes` int64 [n]
    of UTF-8, with one for the end of the line.
    """

    nll: NDArray[np.float64]
    tokens: NDArray[np.int64]
    bytes: NDArray[np.int64]

    @property
    def loss(self) -> float | None:
        """Mean negative log-likelihood per token, in nats; None over no lines."""
        total = int(self.tokens.sum())
        return math.fsum(self.nll) / total if total else None

    @property
    def bits_per_byte(self) -> float | None:
        """Summed negative log-likelihood over ln 2 times the bytes; no tokenizer enters it."""
        total = int(self.bytes.sum())
        return math.fsum(self.nll) / (math.log(2) * total) if total else None


@dataclass(frozen=True, eq=False)
class ReportView:
    """A trained model's traces: scores by split (`train`, a fixed subset; `val`), and samples."""

    scores: Mapping[str, SplitScores] = field(default_factory=dict)
    samples: Sequence[str] = ()


@dataclass(frozen=True)
class Headline:
    """A value a metric is known by: where in its result, in which unit, and which way is better
    (`lower`, `higher`, or `neither`)."""

    key: str
    unit: str
    better: str
