"""Whether the model's probabilities can be taken at their word (Guo et al. 2017, arXiv:1706.04599).

Expected calibration error, equation 3: tokens are sorted into 15 bins by the highest probability
the model gave any token there, (0, 1/15], (1/15, 2/15], ...; in each, that confidence is compared
with how often it was right:

    ECE = Σ over bins of (tokens in it / tokens) · |share right − mean confidence|

The optimal temperature divides the logits such that the validation loss is least: below 1 the model
is too timid, above 1 too sure of itself. It is read off a grid and refined by the parabola through
the lowest point and its neighbours, over the logarithm of the temperature.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tp_core.interfaces import Headline, MetricView
from tp_core.interfaces.metrics import TokenLosses
from tp_plugins.metrics.shared.values import finite

BINS = 15


class Calibration:
    headline = (
        Headline("optimal_temperature", "", "neither"),
        Headline("expected_calibration_error", "share", "lower"),
    )

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """`at_edge`: the least loss stands at an end of the grid, and may be lower beyond it."""
        losses = view.losses.get("val")
        tokens = losses.token_losses if losses is not None else None
        temperature, at_edge = _optimum(tokens) if tokens is not None else (None, None)
        bins = _bins(tokens) if tokens is not None else []
        total = sum(one["tokens"] for one in bins)
        gaps = [one["tokens"] * abs(one["right"] - one["confidence"]) for one in bins]
        return {
            "optimal_temperature": temperature,
            "at_edge": at_edge,
            "expected_calibration_error": finite(math.fsum(gaps) / total) if total else None,
            "bins": bins,
        }


def _bins(tokens: TokenLosses) -> list[dict[str, Any]]:
    """Of each bin that has tokens: how many, their mean confidence, the share that was right."""
    confidence = tokens.confidence.astype(np.float64)
    # In fp32 a confidence of 1/15 lies just above the edge it stands for.
    edges = np.arange(1, BINS).astype(np.float32) / np.float32(BINS)
    places = np.searchsorted(edges, tokens.confidence, side="left")
    counts = np.bincount(places, minlength=BINS)
    confidences = np.bincount(places, confidence, minlength=BINS)
    right = np.bincount(places, tokens.correct, minlength=BINS)
    return [
        {
            "from": k / BINS,
            "to": (k + 1) / BINS,
            "tokens": int(counts[k]),
            "confidence": float(confidences[k] / counts[k]),
            "right": float(right[k] / counts[k]),
        }
        for k in np.flatnonzero(counts).tolist()
        if math.isfinite(confidences[k])
    ]


def _optimum(tokens: TokenLosses) -> tuple[float | None, bool | None]:
    usable = np.isfinite(tokens.nll_at) & (tokens.temperatures > 0)
    if not usable.any() or not len(tokens.nll):
        return None, None
    order = np.argsort(tokens.temperatures[usable], kind="stable")
    x = np.log(tokens.temperatures[usable][order])
    y = tokens.nll_at[usable][order]
    lowest = int(y.argmin())
    if lowest in (0, len(y) - 1):
        return math.exp(x[lowest]), True
    return math.exp(_vertex(x[lowest - 1 : lowest + 2], y[lowest - 1 : lowest + 2])), False


def _vertex(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Where the parabola through three points is lowest, the middle one being the lowest of them.

    Newton's form: slopes between neighbours, and how the slope changes; where that is nothing, the
    three are level.
    """
    left, right = np.diff(y) / np.diff(x)
    bend = (right - left) / (x[2] - x[0])
    return float((x[0] + x[1]) / 2 - left / (2 * bend)) if bend > 0 else float(x[1])
