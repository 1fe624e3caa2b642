"""Whether the samples are spelt like the training text: their perplexity to a character 5-gram.

    bits per character of a sample = −Σ log2 P(character | the four before) / (characters + 1)
    perplexity = 2^(mean over the samples)

its end counting as a character. P has Witten-Bell smoothing, and was counted on the training text
(at most 100,000 of its phrases). The model has no part in it, so this judges spelling and common
words from outside; sense it doesn't judge. Close to held-out phrases is as it should be: far above
is noise, far below is copying or dullness.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tp_core.interfaces import Headline, MetricView
from tp_plugins.metrics.shared.characters import five_gram
from tp_plugins.metrics.shared.values import PerSample, finite, means


class CharNgramPerplexity:
    of_samples = True
    headline = (Headline("bits_per_character", "bit/character", "neither"),)

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """Null without samples or training text."""
        result = means(self.per_sample(view))
        bits = result["bits_per_character"]
        return {**result, "perplexity": finite(2**bits) if bits is not None else None}

    def per_sample(self, view: MetricView) -> PerSample:
        """An empty sample has the bits of its end."""
        texts = view.texts.get("train", ())
        if not texts or not view.samples:
            return {"bits_per_character": np.full(len(view.samples), np.nan)}
        lengths = np.array([len(text) + 1 for text in view.samples])
        bits = five_gram(texts).bits(view.samples)
        sums = np.add.reduceat(bits, np.cumsum(lengths) - lengths)
        return {"bits_per_character": sums / lengths}
