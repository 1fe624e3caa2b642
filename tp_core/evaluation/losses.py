"""How likely a model finds whole lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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


def measure_lines(
    model: Decoder,
    tokenizer: Tokenizer,
    split: TokenizedSplit,
    batch_size: int,
    autocast: Autocast,
    *,
    lines: NDArray[np.int64] | None = None,
    token_losses: bool = False,
) -> SplitLosses:
    """Score `lines` of a split in the order given, or all of it in the order of the file.

    They are batched by length, so that little of a batch is padding.
    """
    lines = np.arange(len(split)) if lines is None else lines
    by_length = np.argsort(split.lengths[lines], kind="stable")
    batches = [
        lines[by_length[start : start + batch_size]] for start in range(0, len(lines), batch_size)
    ]
    losses = measure_losses(model, tokenizer, split, batches, autocast, token_losses=token_losses)
    tokens = losses.token_losses
    if tokens is not None:
        order = np.argsort(np.repeat(by_length, losses.tokens), kind="stable")
        columns = ("nll", "position", "end", "confidence", "correct")
        tokens = replace(tokens, **{name: getattr(tokens, name)[order] for name in columns})
    back = np.argsort(by_length, kind="stable")
    return replace(select_lines(losses, back), token_losses=tokens)


def select_lines(losses: SplitLosses, lines: NDArray[np.int64]) -> SplitLosses:
    """Scores of these of the scored lines, in this order, without those of their tokens."""
    return SplitLosses(losses.nll[lines], losses.tokens[lines], losses.bytes[lines])
