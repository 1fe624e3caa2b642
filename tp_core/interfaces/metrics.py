"""What a metric may look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


def bits_per_byte(nats: float, n_bytes: int) -> float:
    """A summed negative log-likelihood in nats as bits per byte of what it is of."""
    return nats / (math.log(2) * n_bytes)


@dataclass(frozen=True, eq=False)
class TokenLosses:
    """The same N tokens one by one, line after line.

    - `nll` fp32 [N] in nats; `position` int32 [N] in its line, 0 for the first predicted token;
    - `end` bool [N]: whether the token to predict ended its line;
    - `confidence` fp32 [N]: the highest probability the model gave any token there, and `correct`
      bool [N]: whether that was the right one;
    - `temperatures` fp64 [K], and `nll_at` fp64 [K]: the summed nll with logits divided by each.
    """

    nll: NDArray[np.float32]
    position: NDArray[np.int32]
    end: NDArray[np.bool_]
    confidence: NDArray[np.float32]
    correct: NDArray[np.bool_]
    temperatures: NDArray[np.float64]
    nll_at: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SplitLosses:
    """How likely a model finds each of n lines.

    `nll` fp64 [n] in nats, end token included; `tokens` int64 [n] predicted ones; `bytes` int64 [n]
    of UTF-8, with one for the end of the line. `token_losses` is there in a report, for `val`.
    """

    nll: NDArray[np.float64]
    tokens: NDArray[np.int64]
    bytes: NDArray[np.int64]
    token_losses: TokenLosses | None = None

    @property
    def loss(self) -> float | None:
        """Mean negative log-likelihood per token, in nats; None over no lines."""
        total = int(self.tokens.sum())
        return math.fsum(self.nll) / total if total else None

    @property
    def bits_per_byte(self) -> float | None:
        """Summed negative log-likelihood over ln 2 times the bytes; no tokenizer enters it."""
        total = int(self.bytes.sum())
        return bits_per_byte(math.fsum(self.nll), total) if total else None


@dataclass(frozen=True, eq=False)
class MetricView:
    """A trained model's traces. What there is none of is empty.

    - `losses`: by split, `train` being a fixed subset of it and `val` the whole;
    - `samples`: generated texts, prompt included, and `stops`, why each ended: `end` (the model
      ended the phrase), `length` (max_new_tokens) or `context` (max_seq_len);
    - `texts`: the phrases of each whole split, duplicates included;
    - `distinct`: by split, losses of each distinct phrase of the whole split, in the order of
      `dict.fromkeys(texts[split])`; absent where that costs too much;
    - `evaluations`: lines of `metrics.jsonl` with split `train` or `val`, in order of steps.
    """

    losses: Mapping[str, SplitLosses] = field(default_factory=dict)
    samples: Sequence[str] = ()
    stops: Sequence[str] = ()
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    distinct: Mapping[str, SplitLosses] = field(default_factory=dict)
    evaluations: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Headline:
    """A value a metric is known by: where in its result, in which unit, and which way is better
    (`lower`, `higher`, or `neither`)."""

    key: str
    unit: str
    better: str
