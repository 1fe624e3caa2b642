"""Checks that no output depends on a later token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tp_core.kernel.kinds import SEQUENCE_KINDS
from tp_core.testing.forward_passes import ROUNDING, difference, training
from tp_core.testing.harness import Harness, modes
from tp_core.testing.inputs import LENGTH, LONG, PATHS, VOCAB, noise, some_tokens
from tp_core.testing.registry import harness_check
from tp_core.testing.results import Finding, Worst

_CUTS = (0, LENGTH // 2, LENGTH - 2)  # the last token that is looked at


@harness_check(*SEQUENCE_KINDS)
def causality_gradient(harness: Harness) -> Finding:
    """The gradient of earlier outputs with respect to later tokens is exactly zero.

    Tolerance 0: what is masked has weight zero, and zero times anything finite is zero.
    """
    model = harness.model
    inputs: list[Tensor] = []

    def capture(module: nn.Module, args: object, output: Tensor) -> Tensor:
        inputs.append(output.detach().requires_grad_())
        return inputs[-1]

    handle = model.embedding.register_forward_hook(capture)
    worst = Worst(0.0)
    try:
        with training(model):
            for path, sequence in PATHS.items():
                logits = model(some_tokens(2), sequence(2))[0]
                for cut in _CUTS:
                    seen = (logits * noise("cotangent", *logits.shape))[:, : cut + 1].sum()
                    gradient = torch.autograd.grad(seen, inputs[-1], retain_graph=True)[0]
                    if not bool(gradient[:, : cut + 1].any(-1).all()):
                        return Finding(fault=f"{path}: a token doesn't reach its own output")
                    leak = float(gradient[:, cut + 1 :].abs().max())
                    worst.add(
                        leak, f"{path}: the gradient of outputs up to token {cut} at later ones"
                    )
    finally:
        handle.remove()
    return worst.finding()


@harness_check(*SEQUENCE_KINDS)
def causality_change(harness: Harness) -> Finding:
    """Changing or cutting off later tokens doesn't change earlier outputs.

    It finds what a gradient doesn't see: statistics over time that are detached, an argmax.
    """
    worst = Worst(ROUNDING)
    rows = len(_CUTS)
    tokens = some_tokens(1).expand(rows, -1)
    ends = torch.tensor(_CUTS)[:, None] + 1
    kept = torch.arange(LENGTH) < ends  # each row is changed after a cut of its own
    changed = torch.where(kept, tokens, (tokens + ends) % VOCAB)
    short, half = _CUTS[1] + 1, LONG // 2
    long = some_tokens(1, LONG)
    long_rows = (long, torch.cat([long[:, :half], (long[:, half:] + 1) % VOCAB], 1))
    with torch.no_grad():
        for mode in modes(harness):
            for path, sequence in PATHS.items():
                before = harness.model(tokens, sequence(rows))[0]
                after = harness.model(changed, sequence(rows))[0]
                where = f"{path}, {mode}: earlier outputs when later tokens"
                worst.add(difference(after[kept], before[kept]), f"{where} change")
                cut_off = harness.model(tokens[:, :short], sequence(rows, short))[0]
                worst.add(difference(cut_off, before[:, :short]), f"{where} are cut off")
                before, after = (harness.model(row, sequence(1, LONG))[0] for row in long_rows)
                change = difference(after[:, :half], before[:, :half])
                worst.add(change, f"{where} of a long row change")
    return worst.finding()
