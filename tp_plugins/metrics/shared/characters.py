"""Character n-grams of the training text, for the metrics that hold something against them."""

from __future__ import annotations

from collections.abc import Sequence

from tp_core.evaluation.char_ngram import CharNgram
from tp_plugins.metrics.shared.once import Once, evenly

MOST_LINES = 100_000
"""Training phrases they are counted on at most, evenly spaced: more would hardly move them."""

ORDER = 5


def _fit(texts: Sequence[str]) -> CharNgram:
    return CharNgram(ORDER).fit(evenly(texts, MOST_LINES))


five_gram = Once(_fit)
"""Characters after the four before them, of at least one text; kept for all metrics together."""
