"""Run a few tokens through the assembled model before anything is trained or written.

A component that raises, or returns another shape or type of number than its contract says, is found
here and named, instead of at the first sample an hour later, or never: a wrong shape may broadcast.
"""

from __future__ import annotations

import torch

from tp_core.assembly.attribution import attribute_errors
from tp_core.assembly.output_contracts import CONTRACT
from tp_core.assembly.watched_outputs import checked_outputs
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.model.decoder import Decoder
from tp_core.model.device import Autocast

_LENGTH = 4


@torch.no_grad()
def smoke_test(model: Decoder, autocast: Autocast) -> None:
    """Run `model` over whole rows, then token by token. Raises `TpError` naming a bad component."""
    device = model.embedding.weight.device
    width = min(_LENGTH, model.max_seq_len)
    tokens = torch.zeros(2, width, dtype=torch.int64, device=device)
    lengths = torch.tensor([width, width - 1], device=device)
    training = model.training
    model.eval()
    try:
        with autocast(), attribute_errors(model.built), checked_outputs(model.built, CONTRACT):
            model(tokens, SequenceInfo.of_rows(lengths, width))
            state = model.init_state(2, width, device, torch.float32)
            # A prompt with its last token still to come, and a shorter one, padded on the left.
            place = torch.arange(-1, width - 1, device=device)
            positions = torch.stack([place, place - 1]).clamp(min=-1)
            _, state = model(tokens, SequenceInfo.of_positions(positions), state)
            after = positions[:, -1:] + 1
            model(tokens[:, :1], SequenceInfo.of_positions(after), state)
    finally:
        model.train(training)
