"""How well the model predicts text it has not seen, and text it has.

    loss = Σ nll / tokens,   perplexity = e^loss,   bits per byte = Σ nll / (ln 2 · (bytes + lines))

over whole lines with their end. Loss and perplexity are per token, so they compare models of one
tokenizer only; bits per byte compares any.
"""

from __future__ import annotations

import math
from typing import Any

from tp_core.interfaces import Headline, ReportView


class Likelihood:
    headline = (
        Headline("val.bits_per_byte", "bit/byte", "lower"),
        Headline("generalisation_gap", "bit/byte", "lower"),
    )

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: ReportView) -> dict[str, Any]:
        """Figures per split; `generalisation_gap` is val minus train, in bits per byte."""
        result: dict[str, Any] = {}
        for name, scores in view.scores.items():
            loss = scores.loss
            # A loss past 700 nats has a perplexity that no float holds.
            perplexity = math.exp(loss) if loss is not None and loss < 700 else None
            result[name] = {
                "lines": len(scores.nll),
                "loss": loss,
                "perplexity": perplexity,
                "bits_per_byte": scores.bits_per_byte,
            }
        train, val = (result.get(name, {}).get("bits_per_byte") for name in ("train", "val"))
        known = train is not None and val is not None
        result["generalisation_gap"] = val - train if known else None
        return result
