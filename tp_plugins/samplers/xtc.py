"""Exclude top choices (p-e-w 2024, text-generation-webui #6335).

Top choices are the tokens with a probability of at least `threshold`. Where there are several,
then with chance `probability` all of them go but the last in order of probability; of equally
likely ones the lowest ids come first. One top choice stays, so the text stays sensible, and loses
its clichés. The chance is drawn for each token and row.

The original spares line breaks and the end of the text by their ids. A sampler here knows no
token by its meaning, so the end may be excluded like any other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tp_core.interfaces import SamplerStep
from tp_plugins.samplers import XtcOptions


class Xtc:
    def __init__(self, options: XtcOptions, ctx: Any) -> None:
        self.threshold, self.probability = options.threshold, options.probability

    def __call__(self, logits: Tensor, step: SamplerStep) -> Tensor:
        values, order = logits.sort(dim=-1, descending=True, stable=True)
        top = values.double().softmax(-1) >= self.threshold
        # Each one that is followed by another.
        removed_in_order = torch.zeros_like(top)
        removed_in_order[:, :-1] = top[:, 1:]
        removed = torch.zeros_like(top).scatter_(-1, order, removed_in_order)
        return logits.masked_fill(removed & (step.uniform() < self.probability), -torch.inf)
