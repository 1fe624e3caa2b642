"""Words that the training text doesn't have: misspelt, made up, or rightly put together.

    rate of a sample = its words that stand nowhere in the training text / its words

and the mean over the samples that have words, which are cut at white space (words.py): "end." is
another word than "end". Held-out phrases have new words too.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from tp_core.interfaces import Headline, MetricView
from tp_plugins.metrics.shared.values import PerSample, means
from tp_plugins.metrics.shared.words import numbered, words

SHOWN = 20


class OutOfVocabulary:
    of_samples = True
    headline = (Headline("oov_rate", "share", "lower"),)

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """`examples`: such words, the most frequent first. Null without training text or words."""
        texts = view.texts.get("train", ())
        found: Counter[str] = Counter()
        if texts:
            known = numbered(texts).numbers
            found.update(w for text in view.samples for w in words(text) if w not in known)
        examples = sorted(found, key=lambda word: (-found[word], word))[:SHOWN]
        return {**means(self.per_sample(view)), "examples": examples}

    def per_sample(self, view: MetricView) -> PerSample:
        """NaN for samples without words."""
        values = np.full(len(view.samples), np.nan)
        texts = view.texts.get("train", ())
        if texts:
            known = numbered(texts).numbers
            for index, text in enumerate(view.samples):
                if found := words(text):
                    values[index] = sum(word not in known for word in found) / len(found)
        return {"oov_rate": values}
