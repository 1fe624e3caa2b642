"""How the samples end: by the model's own word, cut off, or before they began.

    end = the model ended the phrase;   truncated = it ran into max_new_tokens or max_seq_len
    empty = no word was said

as shares of all samples. A sample that was cut off says nothing about where it would have ended,
so with many of them lengths and copies mean little: raise max_new_tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tp_core.interfaces import Headline, MetricView
from tp_plugins.metrics.shared.values import PerSample, means
from tp_plugins.metrics.shared.words import words


class Endings:
    of_samples = True
    headline = (
        Headline("end_rate", "share", "higher"),
        Headline("truncated_rate", "share", "lower"),
        Headline("empty_rate", "share", "lower"),
    )

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """Null where it isn't known how the samples stopped."""
        return {"samples": len(view.samples), **means(self.per_sample(view))}

    def per_sample(self, view: MetricView) -> PerSample:
        """1 or 0; NaN for a sample of which it isn't known."""
        ended = np.full(len(view.samples), np.nan)
        known = np.array([stop == "end" for stop in view.stops], np.float64)[: len(ended)]
        ended[: len(known)] = known
        empty = np.array([not words(text) for text in view.samples], np.float64)
        return {"end_rate": ended, "truncated_rate": 1 - ended, "empty_rate": empty}
