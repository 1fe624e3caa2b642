"""Which keys a query may see: the one place where masks are made."""

from __future__ import annotations

from torch import Tensor

from tp_core.interfaces.sequence import SequenceInfo


def visible(
    seq: SequenceInfo,
    key_positions: Tensor,
    key_documents: Tensor,
    window: int | None = None,
) -> Tensor:
    """Which keys each query sees, bool [B, T, S].

    A key is visible if it is a token in the query's document, at or before the query's position,
    and among the last `window` of those, including the query's own.
    """
    q, k = seq.positions[:, :, None], key_positions[:, None, :]
    mask = (k >= 0) & (k <= q) & (key_documents[:, None, :] == seq.documents[:, :, None])
    if window is not None:
        mask = mask & (q - k < window)
    return mask
