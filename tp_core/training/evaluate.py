"""How likely a model finds whole lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from tp_core.data.batches import pad
from tp_core.data.dataset import TokenizedSplit
from tp_core.device import Autocast
from tp_core.interfaces.blame import blame
from tp_core.interfaces.report import SplitScores
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.model import Decoder
from tp_core.tokenizer import Tokenizer
from tp_core.training.by_token import ByToken


@torch.no_grad()
def score(
    model: Decoder,
    tokenizer: Tokenizer,
    split: TokenizedSplit,
    batches: Sequence[NDArray[np.int64]],
    autocast: Autocast,
    *,
    by_token: bool = False,
) -> SplitScores:
    """Score the lines of `batches` (index arrays into `split`), in that order, without dropout.

    With `by_token`, every token of them as well, which takes longer.
    """
    device = model.embedding.weight.device
    training = model.training
    model.eval()
    nll = []
    tokens_seen = ByToken() if by_token else None
    try:
        for indices in batches:
            rows = pad(split, indices, tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id)
            tokens, targets, lengths = (
                torch.from_numpy(array).to(device)
                for array in (rows.inputs, rows.targets, rows.lengths)
            )
            with autocast(), blame(model.built):
                logits, _ = model(tokens, SequenceInfo.of_rows(lengths, tokens.shape[1]))
            logits = logits.float()
            losses = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
            nll.append(losses.double().sum(1).cpu().numpy())
            if tokens_seen is not None:
                tokens_seen.add(logits, targets, losses, tokenizer.eos_id)
    finally:
        model.train(training)
    order = np.concatenate([*batches, np.empty(0, np.int64)])
    return SplitScores(
        nll=np.concatenate([*nll, np.empty(0)]),
        tokens=split.lengths[order],
        bytes=split.bytes_[order],
        by_token=tokens_seen.scores() if tokens_seen is not None else None,
    )
