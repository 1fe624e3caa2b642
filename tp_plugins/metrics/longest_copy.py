"""The longest stretch of a sample that some training phrase has, character for character.

    characters = length of the longest common substring with any training phrase
    share      = characters / length of the sample

and the means over the samples. A stretch lies within one phrase. Finds copies that are not whole
phrases, or have a word exchanged (Lee et al. 2022, arXiv:2107.06499, who look for them with the
same means, a suffix array). Held-out phrases show what the language itself makes recur.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tp_core.interfaces import Headline, MetricView
from tp_plugins.metrics.shared.once import Once
from tp_plugins.metrics.shared.suffixes import Matches, Suffixes
from tp_plugins.metrics.shared.values import PerSample, means


class LongestCopy:
    of_samples = True
    headline = (
        Headline("characters", "character", "neither"),
        Headline("share", "share", "neither"),
    )

    def __init__(self, options: Any, ctx: Any) -> None:
        self._suffixes = Once(Suffixes)

    def compute(self, view: MetricView) -> dict[str, Any]:
        """`longest`: the longest copy of all, the sample it is in, a training phrase that has it.

        Null without training text.
        """
        found = self._matches(view)
        return {**means(_values(view, found)), "longest": self._longest(view, found)}

    def per_sample(self, view: MetricView) -> PerSample:
        """An empty sample has no share."""
        return _values(view, self._matches(view))

    def _matches(self, view: MetricView) -> Matches | None:
        texts = view.texts.get("train", ())
        return self._suffixes(texts).matches(view.samples) if texts and view.samples else None

    def _longest(self, view: MetricView, found: Matches | None) -> dict[str, Any] | None:
        if found is None:
            return None
        length = int(found.characters.max())
        if not length:
            return None
        copies = [
            (sample[start : start + length], sample, int(found.place[index]))
            for index in np.flatnonzero(found.characters == length)
            for sample, start in [(view.samples[found.query[index]], int(found.start[index]))]
        ]
        text, sample, place = min(copies)  # whichever was drawn first
        phrase = self._suffixes(view.texts["train"]).phrase(place)
        return {"text": text, "sample": sample, "phrase": phrase}


def _values(view: MetricView, found: Matches | None) -> PerSample:
    if found is None:
        nothing = np.full(len(view.samples), np.nan)
        return {"characters": nothing, "share": nothing.copy()}
    longest = np.zeros(len(view.samples))
    np.maximum.at(longest, found.query, found.characters)
    length = np.array([len(text) for text in view.samples], np.float64)
    share = np.where(length > 0, longest / np.maximum(length, 1), np.nan)
    return {"characters": longest, "share": share}
