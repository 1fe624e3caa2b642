"""How often a sample says again what it just said (Welleck et al. 2019, arXiv:1908.04319).

    seq-rep-n of a sample = 1 − different runs of n words / runs of n words

and the mean over the samples that have n words. Ordinary phrases repeat single words; loops show in
n = 2 and above.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tp_core.interfaces import Headline, MetricView
from tp_plugins.metrics.shared.values import PerSample, means
from tp_plugins.metrics.shared.words import ngrams


class Repetition:
    of_samples = True
    headline = (
        Headline("seq_rep_1", "share", "neither"),
        Headline("seq_rep_2", "share", "lower"),
    )

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """For n = 1 to 4; null where no sample has n words."""
        return means(self.per_sample(view))

    def per_sample(self, view: MetricView) -> PerSample:
        """NaN for samples of fewer than n words."""
        result = {}
        for n in (1, 2, 3, 4):
            runs = [ngrams(text, n) for text in view.samples]
            result[f"seq_rep_{n}"] = np.array(
                [1 - len(set(own)) / len(own) if own else np.nan for own in runs], np.float64
            )
        return result
