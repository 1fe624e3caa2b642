"""What a report measures: descriptors."""

from __future__ import annotations

from tp_core import Component, hookimpl


@hookimpl
def tp_metrics() -> list[Component]:
    here = "tp_plugins.metrics"
    return [
        Component(
            name="likelihood",
            target=f"{here}.likelihood:Likelihood",
            summary="Loss, perplexity and bits per byte over whole lines, and the gap to training",
        ),
        Component(
            name="unique_rate",
            target=f"{here}.unique_rate:UniqueRate",
            summary="Share of samples that no earlier sample repeats",
        ),
    ]
