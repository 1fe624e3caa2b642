"""How many of the words and their runs are different ones (Li et al. 2016, arXiv:1510.03055).

    distinct-n = different runs of n words in all samples / runs of n words in all samples

Li et al. divide by the words instead, which is the same for n = 1; over the runs, 1 means that none
repeats. It falls as more or longer samples are taken, so compare it for equally many only.
"""

from __future__ import annotations

from typing import Any

from tp_core.interfaces import Headline, MetricView
from tp_plugins.metrics.shared.values import share
from tp_plugins.metrics.shared.words import ngrams


class Distinct:
    of_samples = True
    headline = tuple(Headline(f"distinct_{n}", "share", "higher") for n in (1, 2, 3))

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """Null where no sample has n words."""
        result = {}
        for n in (1, 2, 3):
            runs = [run for text in view.samples for run in ngrams(text, n)]
            result[f"distinct_{n}"] = share(len(set(runs)), len(runs))
        return result
