"""Where in a phrase the model is at a loss.

    loss(position) = mean nll of the tokens at that position of their phrase, the end included

Position 0 is the first token, predicted from nothing. A model that uses its context gets better
with every token it has read (Kaplan et al. 2020, arXiv:2001.08361, figure 20). `end` is the loss on
the token that ends a phrase alone, `inside` on all others: in nats, over validation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tp_core.interfaces import Headline, MetricView
from tp_plugins.metrics.shared.values import finite, share


class LossByPosition:
    headline = (
        Headline("inside.loss", "nat/token", "lower"),
        Headline("end.loss", "nat/token", "lower"),
    )

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """`by_position`: one row for each position that has a token, in order."""
        losses = view.losses.get("val")
        tokens = losses.token_losses if losses is not None else None
        if tokens is None:
            nothing = {"tokens": 0, "loss": None}
            return {"inside": nothing, "end": dict(nothing), "by_position": []}
        nll = tokens.nll.astype(np.float64)
        counts = np.bincount(tokens.position)
        sums = np.bincount(tokens.position, nll)
        by_position = [
            {"position": int(p), "tokens": int(counts[p]), "loss": finite(sums[p] / counts[p])}
            for p in np.flatnonzero(counts)
        ]
        kinds = {"inside": nll[~tokens.end], "end": nll[tokens.end]}
        return {
            **{
                name: {"tokens": len(v), "loss": share(v.sum(), len(v))}
                for name, v in kinds.items()
            },
            "by_position": by_position,
        }
