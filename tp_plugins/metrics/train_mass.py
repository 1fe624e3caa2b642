"""How much of all probability lies on the phrases of the data.

    mass(split) = Σ over its distinct phrases of exp(−nll),   the end of the phrase included

is the chance that one sample is a copy of one of them: the expected rate of exact copies, without
the noise of sampling, for plain sampling from no prompt (temperature 1, no other sampler). A lower
temperature or top-p raises it. A phrase cut at max_seq_len counts as the chance to begin that way.

    ratio = (mass(train) / phrases of train) / (mass(val) / phrases of val)

compares a training phrase with a held-out one: 1 where training left no trace. As sums of
probabilities, both are carried by the likeliest phrases, which are listed with their nll; an
extraction attack looks for these (Carlini et al. 2021, arXiv:2012.07805).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tp_core.interfaces import Headline, MetricView
from tp_plugins.metrics.shared.values import finite

SHOWN = 10
_MOST = math.log(float(np.finfo(np.float64).max))


class TrainMass:
    headline = (
        Headline("train.mass", "share", "lower"),
        Headline("ratio", "", "lower"),
    )

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """`log_mean` is the log of a split's mass per phrase, in nats; `log_ratio` their
        difference, which is there even where the ratio is no float. `likeliest`: `probability` and
        `nll` of a training phrase, and its `count` in the training text."""
        splits = {name: _mass(view, name) for name in ("train", "val")}
        train, val = (splits[name]["log_mean"] for name in ("train", "val"))
        log_ratio = train - val if train is not None and val is not None else None
        return {
            **splits,
            "ratio": math.exp(log_ratio) if log_ratio is not None and log_ratio < _MOST else None,
            "log_ratio": log_ratio,
            "likeliest": _likeliest(view),
        }


def _mass(view: MetricView, split: str) -> Mapping[str, Any]:
    losses = view.distinct.get(split)
    nll = losses.nll if losses is not None else np.empty(0)
    if not len(nll) or np.isnan(nll).any():
        return {"phrases": len(nll), "mass": None, "log_mean": None}
    log_mean = finite(_log_sum_exp(-nll) - math.log(len(nll)))
    return {
        "phrases": len(nll),
        "mass": math.fsum(np.exp(-nll)),
        "log_mean": log_mean,
    }


def _log_sum_exp(x: NDArray[np.float64]) -> float:
    highest = float(x.max())
    return highest + math.log(np.exp(x - highest).sum()) if math.isfinite(highest) else highest


def _likeliest(view: MetricView) -> list[dict[str, Any]]:
    losses = view.distinct.get("train")
    if losses is None:
        return []
    texts = view.texts.get("train", ())
    best = np.argsort(losses.nll, kind="stable")[:SHOWN].tolist()
    best = [index for index in best if math.isfinite(losses.nll[index])]
    wanted = dict.fromkeys(best, "")
    for index, text in enumerate(dict.fromkeys(texts)):
        if index in wanted:
            wanted[index] = text
    counts = dict.fromkeys(wanted.values(), 0)
    for text in texts:
        if text in counts:
            counts[text] += 1
    return [
        {
            "text": text,
            "nll": float(losses.nll[index]),
            "probability": math.exp(-losses.nll[index]),
            "tokens": int(losses.tokens[index]),
            "count": counts[text],
        }
        for index, text in wanted.items()
    ]
