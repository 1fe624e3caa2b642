"""The loss of a language model: the one place where it is computed."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from tp_core.data.batches import IGNORED


def cross_entropy(logits: Tensor, targets: Tensor, reduction: Literal["sum", "none"]) -> Tensor:
    """Negative log-likelihood of targets int64 [B, T] under logits [B, T, V], in nats and in fp32.

    A target of `IGNORED` doesn't count: whoever makes a batch says by it what is to be learned. Its
    loss is 0. `sum` gives a number, `none` [B, T].
    """
    if reduction == "sum":
        logits, targets = logits.flatten(0, 1), targets.flatten()
    else:  # along the vocabulary in place, which rounds as evaluations always have
        logits = logits.transpose(1, 2)
    return F.cross_entropy(logits.float(), targets, ignore_index=IGNORED, reduction=reduction)
