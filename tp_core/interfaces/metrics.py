"""The inputs of metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


def bits_per_byte(nats: float, n_bytes: int) -> float:
    """Convert a summed negative log-likelihood in nats to bits per byte."""
    return nats / (math.log(2) * n_bytes)


@dataclass(frozen=True, eq=False)
class TokenLosses:
    """Losses of N individual tokens, line after line.

    - `nll` fp32 [N] in nats; `position` int32 [N] in its line, 0 for the first predicted token;
    - `end` bool [N]: whether the target is the end token of its line;
    - `confidence` fp32 [N]: the highest probability of any token, and `correct` bool [N]: whether
      that token was the target;
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
    """A model's losses on n lines.

    `nll` fp64 [n] in nats, including the end token; `tokens` int64 [n]: predicted tokens; `bytes`
    int64 [n]: UTF-8 bytes, plus one for the end of the line. `token_losses` is only available in
    reports, for `val`.
    """

    nll: NDArray[np.float64]
    tokens: NDArray[np.int64]
    bytes: NDArray[np.int64]
    token_losses: TokenLosses | None = None

    @property
    def loss(self) -> float | None:
        """Mean negative log-likelihood per token, in nats; None without lines."""
        total = int(self.tokens.sum())
        return math.fsum(self.nll) / total if total else None

    @property
    def bits_per_byte(self) -> float | None:
        """Summed negative log-likelihood over ln 2 times the bytes; tokenizer-independent."""
        total = int(self.bytes.sum())
        return bits_per_byte(math.fsum(self.nll), total) if total else None


@dataclass(frozen=True, eq=False)
class MetricView:
    """Everything a metric can use; unavailable data is empty.

    - `losses`: by split; `train` is a fixed subset of the split, `val` all of it;
    - `samples`: generated texts, including the prompt, and `stops`, why each ended: `end` (the
      model ended the phrase), `length` (max_new_tokens) or `context` (max_seq_len);
    - `texts`: all phrases of each split, including duplicates;
    - `distinct`: by split, losses of each distinct phrase, in the order of
      `dict.fromkeys(texts[split])`; empty if too expensive;
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
    """A main value of a metric: its dotted key in the result, its unit, and which direction is
    better (`lower`, `higher` or `neither`)."""

    key: str
    unit: str
    better: str
