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
    """Which keys each query may see, bool [B, T, S]; the one place where masks are made.

    A key is seen when it is a token, of the query's document, at the query's position or before,
    and among the `window` last of those, the query's own included.
    """
    q, k = seq.positions[:, :, None], key_positions[:, None, :]
    mask = (k >= 0) & (k <= q) & (key_documents[:, None, :] == seq.documents[:, :, None])
    if window is not None:
        mask = mask & (q - k < window)
    return mask
