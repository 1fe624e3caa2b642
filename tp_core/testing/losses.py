"""The check of auxiliary losses."""

from __future__ import annotations

import torch
from torch import Tensor

from tp_core.interfaces.sequence import SequenceInfo
from tp_core.kernel.kinds import LAYER_KINDS
from tp_core.model.decoder import Decoder
from tp_core.testing.forward_passes import ROUNDING, difference, training
from tp_core.testing.harness import Harness
from tp_core.testing.inputs import LENGTH, VOCAB, some_tokens
from tp_core.testing.registry import harness_check
from tp_core.testing.results import PASSED, Finding, NotApplicable, Worst


@harness_check(*LAYER_KINDS, first_only=True)
def auxiliary_loss(harness: Harness) -> Finding:
    """A loss added by seq.add_loss is a finite sum over tokens, pads apart, and has a gradient."""
    model = harness.model
    lengths = torch.tensor([LENGTH, 6, 3])
    rows = SequenceInfo.of_rows(lengths, LENGTH)
    tokens = some_tokens(3)
    with training(model):
        losses = _losses(model, tokens, rows)
        if not losses:
            raise NotApplicable("adds no loss")
        for name, value in losses.items():
            if value.ndim or not bool(torch.isfinite(value)):
                return Finding(fault=f"loss '{name}' is {value!r}, not a finite number")
            if not value.requires_grad:
                return Finding(fault=f"loss '{name}' has no gradient")
            gradients = torch.autograd.grad(
                value, list(model.parameters()), retain_graph=True, allow_unused=True
            )
            if not any(g is not None and bool(g.any()) for g in gradients):
                return Finding(fault=f"loss '{name}' reaches no parameter")
        if harness.stochastic:
            return PASSED
        worst = Worst(ROUNDING)
        other = torch.where(rows.valid, tokens, (tokens + 7) % VOCAB)
        wide = torch.cat([tokens, tokens[:, :4]], 1)
        twice = SequenceInfo.of_rows(lengths.repeat(2), LENGTH)
        for again, where, factor in (
            (_losses(model, other, SequenceInfo.of_rows(lengths, LENGTH)), "other pads", 1),
            (_losses(model, wide, SequenceInfo.of_rows(lengths, LENGTH + 4)), "more pads", 1),
            (_losses(model, tokens.repeat(2, 1), twice), "every row twice, over 2", 2),
        ):
            for name, value in losses.items():
                worst.add(difference(again[name] / factor, value), f"loss '{name}' with {where}")
    return worst.finding()


def _losses(model: Decoder, tokens: Tensor, seq: SequenceInfo) -> dict[str, Tensor]:
    model(tokens, seq)
    return dict(seq.losses)
