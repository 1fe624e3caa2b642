"""How well the model predicts text it has not seen, and text it has.

    loss = Σ nll / tokens,   perplexity = e^loss,   bits per byte = Σ nll / (ln 2 · (bytes + lines))

over whole lines with their end. Loss and perplexity are per token, so they compare models of one
tokenizer only; bits per byte compares any.
"""

from __future__ import annotations

import math
from typing import Any

from tp_core.interfaces import Headline, MetricView
from tp_core.interfaces.metrics import SplitLosses
from tp_plugins.metrics.shared.values import finite


class Likelihood:
    headline = (
        Headline("val.bits_per_byte", "bit/byte", "lower"),
        Headline("generalisation_gap", "bit/byte", "lower"),
    )

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """Figures per split, null over no lines; `generalisation_gap` is val minus train, in bits
        per byte."""
        result: dict[str, Any] = {
            name: _figures(view.losses.get(name)) for name in ("train", "val", *view.losses)
        }
        train, val = (result[name]["bits_per_byte"] for name in ("train", "val"))
        known = train is not None and val is not None
        result["generalisation_gap"] = val - train if known else None
        return result


def _figures(losses: SplitLosses | None) -> dict[str, float | None]:
    if losses is None:
        return {"lines": 0, "loss": None, "perplexity": None, "bits_per_byte": None}
    loss = finite(losses.loss)
    return {
        "lines": len(losses.nll),
        "loss": loss,
        # A loss past 700 nats has a perplexity that no float holds.
        "perplexity": math.exp(loss) if loss is not None and loss < 700 else None,
        "bits_per_byte": finite(losses.bits_per_byte),
    }
