"""References for sample metrics: equally many real phrases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tp_core.interfaces.metrics import MetricView
from tp_core.rng import generator

SPLITS = {"held_out": "val", "training": "train"}
"""The name of each reference, and the split its phrases come from."""


def references(view: MetricView, seed: int) -> dict[str, MetricView]:
    """The view with its samples replaced by phrases drawn from a split without replacement.

    There are as many as samples, or all there are; each counts as complete.
    """
    found = {}
    for name, split in SPLITS.items():
        texts = drawn(view.texts.get(split, ()), len(view.samples), generator(seed, "report", name))
        found[name] = replace(view, samples=texts, stops=["end"] * len(texts))
    return found


def remarks(view: MetricView, *, whole: bool) -> list[str]:
    """Caveats for comparing sample metrics with the references.

    `whole`: the texts of a split are complete phrases, not chunks of one text.
    """
    n = len(view.samples)
    few = {
        name.replace("_", "-"): count
        for name, split in SPLITS.items()
        if (count := len(view.texts.get(split, ()))) < n
    }
    cut = (
        "data.layout = text: training and held-out texts are chunks cut at arbitrary positions, "
        "and samples have no end; metrics of whole phrases (copies, endings, lengths) mean little"
    )
    return [cut] * (not whole) + [
        f"there are only {count} {name} phrases for {n} samples: metrics that depend on the number "
        "of texts (unique_rate, distinct, compression) are not comparable"
        for name, count in few.items()
    ]


def drawn(texts: Sequence[str], n: int, rng: np.random.Generator) -> list[str]:
    """`n` of `texts`, or all there are, chosen without replacement."""
    chosen = rng.choice(len(texts), min(n, len(texts)), replace=False, shuffle=False)
    return [texts[index] for index in chosen]


def marks(samples: Sequence[str], view: MetricView) -> list[str]:
    """For each sample, whether it is an exact copy of a phrase in `train` or `val`, or `new`."""
    wanted = set(samples)
    # Intersecting walks through a split without making a set of it.
    known = {split: wanted.intersection(view.texts.get(split, ())) for split in ("train", "val")}
    return [
        next((split for split, texts in known.items() if text in texts), "new") for text in samples
    ]
