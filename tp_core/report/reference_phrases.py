"""What figures of samples are held against: real phrases, as many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tp_core.interfaces.metrics import MetricView
from tp_core.rng import generator

SPLITS = {"held_out": "val", "training": "train"}
"""What a reference is called, and the split its phrases are of."""


def references(view: MetricView, seed: int) -> dict[str, MetricView]:
    """The view with its samples replaced by phrases drawn from a split without replacement.

    There are as many as samples, or all there are; each ended by itself.
    """
    found = {}
    for name, split in SPLITS.items():
        texts = drawn(view.texts.get(split, ()), len(view.samples), generator(seed, "report", name))
        found[name] = replace(view, samples=texts, stops=["end"] * len(texts))
    return found


def remarks(view: MetricView, *, whole: bool) -> list[str]:
    """What to bear in mind when figures of samples are held against the references.

    `whole`: the texts of a split are phrases with an end, not chunks of one text.
    """
    n = len(view.samples)
    few = {
        name.replace("_", "-"): count
        for name, split in SPLITS.items()
        if (count := len(view.texts.get(split, ()))) < n
    }
    cut = (
        "data.layout = text: training and held-out texts are chunks cut at any place, and samples "
        "have no end; what is said of whole phrases (copies, endings, lengths) tells little here"
    )
    return [cut] * (not whole) + [
        f"there are only {count} {name} phrases for {n} samples: figures that depend on how many "
        "texts there are (what is unique or distinct, compression) don't compare"
        for name, count in few.items()
    ]


def drawn(texts: Sequence[str], n: int, rng: np.random.Generator) -> list[str]:
    """`n` of `texts`, or all there are, chosen without replacement."""
    chosen = rng.choice(len(texts), min(n, len(texts)), replace=False, shuffle=False)
    return [texts[index] for index in chosen]


def marks(samples: Sequence[str], view: MetricView) -> list[str]:
    """Of each sample, whether it stands word for word among the phrases of `train` or `val`, or is
    `new`."""
    wanted = set(samples)
    # Intersecting walks through a split without making a set of it.
    known = {split: wanted.intersection(view.texts.get(split, ())) for split in ("train", "val")}
    return [
        next((split for split, texts in known.items() if text in texts), "new") for text in samples
    ]
