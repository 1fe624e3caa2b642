"""How far the samples' lengths are from those of real phrases.

    W1 = ∫ |F(x) − G(x)| dx

the Wasserstein distance (Vallender 1974) of two distributions on a line, F and G being the shares
of samples and of validation phrases that have at most x characters. It is the mean number of
characters by which lengths would have to change for the one to become the other. As many held-out
phrases have a distance too: that of chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tp_core.interfaces import Headline, MetricView
from tp_plugins.metrics.shared.once import Once


class LengthDistance:
    of_samples = True
    headline = (Headline("wasserstein", "character", "lower"),)

    def __init__(self, options: Any, ctx: Any) -> None:
        self._of_val = Once(_lengths)

    def compute(self, view: MetricView) -> dict[str, Any]:
        """With the mean lengths; null where there are no samples or no phrases."""
        ours, theirs = _lengths(view.samples), self._of_val(view.texts.get("val", ()))
        return {
            "wasserstein": _distance(ours, theirs) if len(ours) and len(theirs) else None,
            "mean_characters": float(ours.mean()) if len(ours) else None,
            "mean_characters_val": float(theirs.mean()) if len(theirs) else None,
        }


def _lengths(texts: Sequence[str]) -> NDArray[np.int64]:
    return np.sort(np.fromiter(map(len, texts), np.int64, len(texts)))


def _distance(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Of two ascending arrays: between neighbouring lengths, F and G stay as they are."""
    x = np.unique(np.concatenate([a, b]))
    at_most_a, at_most_b = (np.searchsorted(v, x[:-1], side="right") / len(v) for v in (a, b))
    return float(np.abs(at_most_a - at_most_b) @ np.diff(x))
