"""How likely a model finds whole lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from tp_core.assembly.attribution import attribute_errors
from tp_core.data.batches import pad
from tp_core.data.dataset import TokenizedSplit
from tp_core.data.tokenizer import Tokenizer
from tp_core.evaluation.token_losses import TokenLossCollector
from tp_core.interfaces.metrics import SplitLosses
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.model.decoder import Decoder
from tp_core.model.device import Autocast
from tp_core.model.loss import cross_entropy


@torch.no_grad()
def measure_losses(
    model: Decoder,
    tokenizer: Tokenizer,
    split: TokenizedSplit,
    batches: Sequence[NDArray[np.int64]],
    autocast: Autocast,
    *,
    token_losses: bool = False,
) -> SplitLosses:
    """Score the lines of `batches` (index arrays into `split`), in that order, without dropout.

    With `token_losses`, every token of them as well, which takes longer.
    """
    device = model.embedding.weight.device
    training = model.training
    model.eval()
    nll = []
    tokens_seen = TokenLossCollector() if token_losses else None
    try:
        for indices in batches:
            rows = pad(split, indices, tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id)
            tokens, targets, lengths = (
                torch.from_numpy(array).to(device)
                for array in (rows.inputs, rows.targets, rows.lengths)
            )
            with autocast(), attribute_errors(model.built):
                logits, _ = model(tokens, SequenceInfo.of_rows(lengths, tokens.shape[1]))
            losses = cross_entropy(logits, targets, "none")
            nll.append(losses.double().sum(1).cpu().numpy())
            if tokens_seen is not None:
                tokens_seen.add(logits.float(), targets, losses, tokenizer.eos_id)
    finally:
        model.train(training)
    order = np.concatenate([*batches, np.empty(0, np.int64)])
    return SplitLosses(
        nll=np.concatenate([*nll, np.empty(0)]),
        tokens=split.lengths[order],
        bytes=split.bytes_[order],
        token_losses=tokens_seen.losses() if tokens_seen is not None else None,
    )
