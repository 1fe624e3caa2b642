"""How much of what the model says the samples haven't shown yet (Good 1953, Biometrika 40).

    missing mass = N1 / N

with N the samples and N1 how many of the texts among them were drawn exactly once. It estimates the
chance that one more sample would be a new text. Unique rate looks back on the same samples: what is
new then falls with every text drawn before, so the rate lies above this where samples repeat, and
the further above, the sooner the model runs dry.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tp_core.interfaces import Headline, MetricView
from tp_plugins.metrics.shared.values import share


class GoodTuring:
    of_samples = True
    headline = (Headline("missing_mass", "share", "higher"),)

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """`singletons` are N1, `distinct` all different texts."""
        counts = Counter(view.samples)
        singletons = sum(count == 1 for count in counts.values())
        return {
            "samples": len(view.samples),
            "distinct": len(counts),
            "singletons": singletons,
            "missing_mass": share(singletons, len(view.samples)),
        }
