"""Checks that a row doesn't depend on its batch, a token on others, or much on precision."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tp_core.interfaces.sequence import SequenceInfo
from tp_core.kernel.kinds import LAYER_KINDS
from tp_core.testing.forward_passes import ROUNDING, difference, stream, training
from tp_core.testing.harness import Harness, modes
from tp_core.testing.inputs import LENGTH, PATHS, SIZES, full_rows, noise, some_tokens
from tp_core.testing.registry import harness_check
from tp_core.testing.results import Finding, Worst

# A bf16 product carries 8 bits, and errors of 2^-9 add up: 0.01 at most for what has no choices to
# make. Experts have, and 0.06 was measured with one token sent to another expert of three.
BF16_TOLERANCE = 0.15


@harness_check(*LAYER_KINDS)
def batch_invariance(harness: Harness) -> Finding:
    """A row in a batch gives what it gives alone, in training too: no statistics over the batch."""
    worst = Worst(ROUNDING)
    tokens = some_tokens(3)
    with torch.no_grad():
        for mode in modes(harness):
            for path, sequence in PATHS.items():
                together = harness.model(tokens, sequence(3))[0]
                alone = torch.cat([harness.model(row, sequence(1))[0] for row in tokens[:, None]])
                worst.add(difference(together, alone), f"{path}, {mode}: rows in a batch")
    return worst.finding()


@harness_check(*LAYER_KINDS)
def bf16_autocast(harness: Harness) -> Finding:
    """Under bf16 autocast it runs, in one pass and through a state, and stays near fp32.

    Measured over all outputs (root mean square), since a choice between near equals, such as an
    expert's, may fall the other way for single tokens.
    """
    worst = Worst(BF16_TOLERANCE)
    tokens, seq = some_tokens(2), full_rows(2)
    with torch.no_grad():
        exact = harness.model(tokens, seq)[0].double()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            whole = harness.model(tokens, full_rows(2))[0]
            parts = stream(harness.model, tokens, seq.positions, [4, 1, LENGTH - 5])
    for logits, where in ((whole, "in one pass"), (parts, "through a state")):
        deviation = (logits.double() - exact).square().mean().sqrt()
        worst.add(float(deviation / exact.square().mean().sqrt()), f"bf16 {where}")
    return worst.finding()


@harness_check("norm", "mlp")
def token_local_gradient(harness: Harness) -> Finding:
    """The gradient of a token's output with respect to every other token is exactly zero."""
    worst = Worst(0.0)
    made = harness.build_component()
    with training(made):
        for path, sequence in PATHS.items():
            x = _inputs(harness).requires_grad_()
            y = _apply(harness, made, x, sequence(*x.shape[:2]))
            weights = noise("cotangent", *y.shape)
            for at in range(x.shape[1]):
                gradient = torch.autograd.grad(
                    (y * weights)[0, at].sum(), x, retain_graph=True, allow_unused=True
                )[0]
                if gradient is None or not bool(gradient[0, at].any()):
                    return Finding(fault=f"{path}: a token has no influence on its own output")
                gradient[0, at] = 0
                worst.add(float(gradient.abs().max()), f"{path}: the gradient at other tokens")
    return worst.finding()


@harness_check("norm", "mlp")
def token_local_change(harness: Harness) -> Finding:
    """A token's output is the same whatever tokens are around it, before, after or in other rows.

    It finds what a gradient doesn't see, such as detached statistics or a limit on how many tokens
    an expert takes.
    """
    worst = Worst(ROUNDING)
    made = harness.build_component()
    x = _inputs(harness)
    batch, length = x.shape[:2]
    with torch.no_grad():
        for mode in ("in evaluation", "in training"):
            made.train(mode == "in training")
            with torch.random.fork_rng(devices=[]):
                whole, again = (
                    _apply(harness, made, x, full_rows(batch, length)) for _ in range(2)
                )
            if not torch.equal(whole, again):
                continue  # it draws random numbers in training
            for at in range(length):
                alone = _apply(harness, made, x[:, at : at + 1], full_rows(batch, 1))
                worst.add(difference(whole[:, at : at + 1], alone), f"{mode}: a token alone")
                changed = 3 * noise("neighbours", *x.shape) + 1
                changed[0, at] = x[0, at]
                beside = _apply(harness, made, changed, full_rows(batch, length))
                worst.add(
                    difference(beside[0, at], whole[0, at]), f"{mode}: a token among other ones"
                )
    return worst.finding()


def _inputs(harness: Harness) -> Tensor:
    return noise("x", 2, 6, SIZES["d_model"])


def _apply(harness: Harness, made: Any, x: Tensor, seq: SequenceInfo) -> Tensor:
    y: Tensor = made(x, seq) if harness.kind == "mlp" else made(x)
    return y
