"""What a report knows of each token that a model predicts, beside how likely it was.

Temperatures T are tried on the same logits z: −log p_T(y) = log Σ_v exp(z_v / T) − z_y / T. Rows
are worked through in chunks, so that nothing larger than the logits themselves is ever held.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tp_core.data.batches import IGNORED
from tp_core.interfaces.metrics import TokenLosses

_PER_DOUBLING = 8
TEMPERATURES: NDArray[np.float64] = 2.0 ** (np.arange(-16, 17) / _PER_DOUBLING)
"""From 1/4 to 4, eight to each doubling, 1 among them."""

_CHUNK = 1 << 18  # logits that are looked at together: what fits a processor's cache


class TokenLossCollector:
    """Collects the tokens of one batch after another, line after line."""

    def __init__(self) -> None:
        self._rows: list[tuple[NDArray[np.generic], ...]] = []
        self._nll_at = np.zeros(len(TEMPERATURES))

    def add(self, logits: Tensor, targets: Tensor, losses: Tensor, end: int) -> None:
        """Note a batch: fp32 logits [B,T,V], targets [B,T], losses [B,T]; `end` ends a line."""
        valid = targets != IGNORED
        position = torch.arange(targets.shape[1], device=targets.device).expand_as(targets)
        confidence, correct = [], []
        size = max(_CHUNK // logits.shape[2], 1)
        at = valid.flatten().nonzero()[:, 0]
        flat, wanted = logits.flatten(0, 1), targets.flatten()
        for start in range(0, len(at), size):
            rows = at[start : start + size]
            highest, guess = flat[rows].max(1)
            shifted = flat[rows] - highest[:, None]
            target = wanted[rows]
            own = shifted.gather(1, target[:, None])[:, 0].double()
            # From the highest temperature down: half of one squares what is under the sum, which
            # costs far less than another exponential.
            for first in range(_PER_DOUBLING):
                terms = (shifted / float(TEMPERATURES[-1 - first])).exp_()
                for index in range(len(TEMPERATURES) - 1 - first, -1, -_PER_DOUBLING):
                    mass = terms.sum(1).double()
                    self._nll_at[index] += float((mass.log() - own / TEMPERATURES[index]).sum())
                    if TEMPERATURES[index] == 1:
                        confidence.append(1 / mass)
                    terms.square_()
            correct.append(guess == target)
        none = losses.new_empty(0)
        columns = (
            losses[valid].float(),
            position[valid].int(),
            targets[valid] == end,
            torch.cat([*confidence, none]).float(),
            torch.cat([*correct, none.bool()]),
        )
        self._rows.append(tuple(column.cpu().numpy() for column in columns))

    def losses(self) -> TokenLosses:
        """All that was noted."""
        types = (np.float32, np.int32, np.bool_, np.float32, np.bool_)
        nll, position, end, confidence, correct = (
            np.concatenate([*(row[i] for row in self._rows), np.empty(0, dtype)])
            for i, dtype in enumerate(types)
        )
        return TokenLosses(
            nll=nll,
            position=position,
            end=end,
            confidence=confidence,
            correct=correct,
            temperatures=TEMPERATURES.copy(),
            nll_at=self._nll_at.copy(),
        )
