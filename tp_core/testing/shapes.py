"""Checks of shapes and types, and of gradients: finite, and one for every parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tp_core.interfaces.positional_encoding import PositionalEncoding
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.kernel.kinds import LAYER_KINDS
from tp_core.model.decoder import Decoder
from tp_core.testing.forward_passes import through_block, training
from tp_core.testing.generators import drawing_from
from tp_core.testing.harness import Harness
from tp_core.testing.inputs import (
    CPU,
    LENGTH,
    SIZES,
    VOCAB,
    full_rows,
    left_padded,
    noise,
    some_tokens,
)
from tp_core.testing.registry import harness_check
from tp_core.testing.results import PASSED, Finding

_LAYOUTS = ((3, 5), (1, 1), (2, SIZES["max_seq_len"]))  # rows and tokens, up to the longest row


@harness_check(*LAYER_KINDS)
def shapes(harness: Harness) -> Finding:
    """Outputs have the shapes and types of the contract, from one token to the longest row."""
    with torch.no_grad():
        fault = _component_fault(harness)
        if fault:
            return Finding(fault)
        for batch, length in _LAYOUTS:
            tokens, seq = some_tokens(batch, length), full_rows(batch, length)
            state = harness.model.init_state(batch, length, CPU, torch.float32)
            placed = SequenceInfo.of_positions(seq.positions)
            for logits, _ in (harness.model(tokens, seq), harness.model(tokens, placed, state)):
                fault = _unlike(logits, (batch, length, VOCAB), "logits")
                if fault:
                    return Finding(fault)
    return PASSED


def _component_fault(harness: Harness) -> str:
    made, dim = harness.build_component(), SIZES["d_model"]
    x = noise("shapes", 2, 5, dim)
    if harness.kind == "norm":
        faults = [_unlike(made(x_), x_.shape, "output") for x_ in (x, x[0, 0], x[None])]
        narrow = harness.build_component(dim=8)
        return next(filter(None, [*faults, _unlike(narrow(x[..., :8]), (2, 5, 8), "output")]), "")
    if harness.kind == "positional_encoding":
        return next(filter(None, _encoding_faults(made, x)), "")
    if harness.kind == "mlp":
        return _unlike(made(x, full_rows(2, 5)), x.shape, "output")
    seq = full_rows(2, 5)
    returned = through_block(made, x, seq) if harness.kind == "block" else made(x, seq, None)
    if not isinstance(returned, tuple) or len(returned) != 2:
        return "forward() must return its output and the state after it"
    return _unlike(returned[0], x.shape, "output")


def _encoding_faults(encoding: Any, x: Tensor) -> list[str]:
    batch, length, heads = 2, 5, SIZES["n_heads"]
    seq, sites = full_rows(batch, length), PositionalEncoding(encoding)
    t = noise("heads", batch, heads, length, SIZES["d_model"] // heads)
    logits = noise("logits", batch, heads, length, length)
    faults = []
    if hasattr(encoding, "embed"):
        faults.append(_unlike(encoding.embed(x, seq), x.shape, "embed()"))
    for which in ("q", "k") if sites.rotates else ():
        faults.append(_unlike(sites.rotate(t, seq.positions, which), t.shape, "rotate()"))
    bias = sites.bias(seq.positions, seq.positions)
    if bias is not None:
        shape = (*bias.shape[:1], *logits.shape[1:])
        faults.append(_unlike(bias, shape, "bias()"))
        faults.append("" if len(bias) in (1, batch) else f"bias() has a batch of {len(bias)}")
    if sites.scores:
        features = sites.features(x, seq, None)
        mask = torch.ones(batch, 1, length, length, dtype=torch.bool).tril()
        scored = sites.score(t, logits, features, features, mask)
        faults.append(_unlike(scored, logits.shape, "score()"))
    return faults


@harness_check(*LAYER_KINDS, first_only=True)
def inputs_kept(harness: Harness) -> Finding:
    """It doesn't write into what it is given: others, the residual sum first, still need it."""
    made = harness.build_component()
    x, seq = noise("inputs", 2, LENGTH, SIZES["d_model"]), full_rows(2)
    positions = seq.positions.clone()
    heads = noise("heads", 2, SIZES["n_heads"], LENGTH, SIZES["d_model"] // SIZES["n_heads"])
    calls: dict[str, Callable[[Tensor], object]] = {
        "norm": lambda given: made(given),
        "mlp": lambda given: made(given, seq),
        "attention": lambda given: made(given, seq, None),
        "block": lambda given: through_block(made, given, seq),
    }
    if harness.kind == "positional_encoding":
        sites = PositionalEncoding(made)
        calls = {"rotate": lambda given: sites.rotate(given, seq.positions, "q")}
        if hasattr(made, "embed"):
            calls["embed"] = lambda given: made.embed(given, seq)
    else:
        calls = {harness.kind: calls[harness.kind]}
    with torch.no_grad():
        for name, call in calls.items():
            given = (heads if name == "rotate" else x).clone()
            before = given.clone()
            call(given)
            if not torch.equal(given, before) or not torch.equal(seq.positions, positions):
                return Finding(fault=f"{name}: it writes into the tensors it is given")
    return PASSED


def _unlike(value: object, shape: tuple[int, ...], what: str) -> str:
    if not isinstance(value, Tensor):
        return f"{what} is {type(value).__name__}, not a tensor"
    if value.shape != shape or value.dtype != torch.float32:
        return f"{what} is {value.dtype} {list(value.shape)}, not torch.float32 {list(shape)}"
    return ""


@harness_check(*LAYER_KINDS)
def gradients(harness: Harness) -> Finding:
    """Every parameter gets a gradient that isn't zero, and none that isn't finite, pads or not."""
    model = harness.model
    alive: set[str] = set()
    lengths = torch.tensor([10, 6, 3])
    right = SequenceInfo.of_rows(lengths, 10)
    left = SequenceInfo.of_positions(left_padded(lengths, 10))
    for seq, layout in ((right, "pads on the right"), (left, "pads on the left")):
        for name, gradient in _gradients(model, seq).items():
            if not bool(torch.isfinite(gradient).all()):
                return Finding(fault=f"the gradient of '{name}' isn't finite with {layout}")
            if bool(gradient.any()):
                alive.add(name)
    dead = [name for name, _ in model.named_parameters() if name not in alive]
    if dead:
        return Finding(fault=f"parameter '{dead[0]}' has no gradient: nothing depends on it")
    return PASSED


def _gradients(model: Decoder, seq: SequenceInfo) -> dict[str, Tensor]:
    tokens = some_tokens(len(seq.positions), seq.positions.shape[1], purpose="gradients")
    targets = torch.where(seq.valid, (tokens + 1) % VOCAB, -100)
    parameters = dict(model.named_parameters())
    with training(model), drawing_from(0):
        loss = model.loss(tokens, targets, seq) + sum(seq.losses.values())
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {name: one for name, one in zip(parameters, found, strict=True) if one is not None}
