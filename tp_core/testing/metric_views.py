"""Small report views that hold everything a view may hold, and ones that hold next to nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tp_core.interfaces.metrics import MetricView, SplitLosses, TokenLosses

_TRAIN = (
    *("the red fox sleeps", "a quiet river runs under the stone", "the moon waits"),
    *("the red fox sleeps", "never again", "the old bird sings and the old bird sleeps"),
    *("naïve moon over café", "the river runs", "a red stone behind the moon"),
)
_VAL = (
    *("the quiet fox waits", "a bird sings over the river", "the old moon"),
    *("naïve bird", "the old moon"),
)
_SAMPLES = (
    *("the red fox sleeps", "the moon sings and the moon sings", "a quiet bird", "the old moon"),
    *("a quiet bird", "", "the zebra waits behind the river stone", "naïve π", "never again the"),
    *("a quiet river runs under the moon", "the red", "over the river the red fox waits"),
)
_STOPS = (*("end",) * 8, "length", "end", "context", "length")


def views() -> dict[str, MetricView]:
    """Views by what they are; `a usual view` has something everywhere."""
    none = MetricView({name: _scores([]) for name in ("train", "val")})
    one = "one phrase"
    single = MetricView(
        losses={"train": _scores([one]), "val": _scores([one], detail=True)},
        samples=[one],
        stops=["end"],
        texts={"train": [one], "val": ["another"]},
        distinct={"train": _scores([one]), "val": _scores(["another"])},
        evaluations=_evaluations(1),
    )
    return {
        "a usual view": usual(),
        "without texts and tokens": _of_training(),
        "one phrase": single,
        "no samples": replace(usual(), samples=[], stops=[]),
        "empty samples": replace(usual(), samples=["", ""], stops=["end", "length"]),
        "no phrase": none,
        "nothing at all": MetricView(),
    }


def usual() -> MetricView:
    """As of a finished run: repeated phrases, copies of both splits, an empty sample, cut ones."""
    texts = {"train": list(_TRAIN), "val": list(_VAL)}
    return MetricView(
        losses={"train": _scores(_TRAIN[:5]), "val": _scores(_VAL, detail=True)},
        samples=list(_SAMPLES),
        stops=list(_STOPS),
        texts=texts,
        distinct={name: _scores(list(dict.fromkeys(split))) for name, split in texts.items()},
        evaluations=_evaluations(5),
    )


def _of_training() -> MetricView:
    """What metrics see at the end of a training: neither texts nor single tokens."""
    view = usual()
    losses = {name: replace(one, token_losses=None) for name, one in view.losses.items()}
    return MetricView(losses, view.samples, view.stops)


def _scores(texts: Sequence[str], *, detail: bool = False) -> SplitLosses:
    """A word is a token. Nats follow from the words alone, so they agree wherever a phrase is."""
    lines = [[_nats(word, place) for place, word in enumerate([*t.split(), ""])] for t in texts]
    return SplitLosses(
        nll=np.array([math.fsum(line) for line in lines], np.float64),
        tokens=np.array([len(line) for line in lines], np.int64),
        bytes=np.array([len(text.encode()) + 1 for text in texts], np.int64),
        token_losses=_by_token(lines) if detail else None,
    )


def _nats(word: str, place: int) -> float:
    return 0.4 + 0.15 * (len(word) % 5) + 0.1 * (place % 3)


def _by_token(lines: Sequence[Sequence[float]]) -> TokenLosses:
    nll = np.array([nats for line in lines for nats in line], np.float32)
    correct = np.exp(-nll) > 0.5  # a token with more than half of the mass is the likeliest
    temperatures = 2.0 ** np.linspace(-2, 2, 9)
    return TokenLosses(
        nll=nll,
        position=np.array([place for line in lines for place in range(len(line))], np.int32),
        end=np.array([place == len(line) - 1 for line in lines for place in range(len(line))]),
        confidence=np.where(correct, np.exp(-nll), 0.55 * (1 - np.exp(-nll))).astype(np.float32),
        correct=correct,
        temperatures=temperatures,
        nll_at=nll.sum(dtype=np.float64) * (1 + 0.2 * (np.log2(temperatures) - 0.3) ** 2),
    )


def _evaluations(count: int) -> list[dict[str, Any]]:
    """Every ten steps: training falls, validation falls and then rises."""
    lines = []
    for index in range(count):
        for split, loss in (("train", 3 / (1 + index)), ("val", 3 - index + 0.3 * index**2)):
            line = {"step": 10 * index, "tokens": 900 * index, "epoch": index / 2, "split": split}
            lines.append({**line, "loss": loss, "bits_per_byte": 0.4 * loss})
    return lines
