"""Checks that nothing asked for is ignored: options, sites, dropout, auxiliary losses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tp_core.interfaces.sequence import SequenceInfo
from tp_core.testing.building import learn
from tp_core.testing.registry import check, scene_check
from tp_core.testing.results import PASSED, Finding, NotApplicable, Worst
from tp_core.testing.scenes import (
    CPU,
    LENGTH,
    MODEL_KINDS,
    PATHS,
    SIZES,
    VOCAB,
    Scene,
    difference,
    noise,
    plain,
    plan_of,
    some_tokens,
    stream,
    training,
)
from tp_core.testing.state import leaves
from tp_core.testing.subjects import Subject
from tp_core.testing.partners import partner

# A site that is used moves logits of order 1 by tenths. TOLERANCE_NOTE
SITE_THRESHOLD = 1e-3


def varies(subject: Subject) -> bool:
    """Whether an option is varied, or should be and can't."""
    return bool(subject.variant.option)


@check(*MODEL_KINDS, when=varies)
def effect(subject: Subject) -> Finding:
    """The option changes the output, the loss, the gradients, the state or what learning does.

    Both models start alike and do the same operations otherwise, so one differing bit is an effect.
    """
    return compare_traces(subject, trace)


def compare_traces(subject: Subject, of: Any) -> Finding:
    """Passes where what `of` records of the scene differs from what it records without the option."""
    if subject.variant.fault:
        return Finding(fault=subject.variant.fault)
    with_option, without = of(subject.scene), of(subject.reference)
    if with_option.keys() != without.keys():
        return PASSED
    changes = [difference(one, without[name]) for name, one in with_option.items()]
    largest = max(changes, default=0.0)
    if largest > 0 or math.isnan(largest):
        return Finding(measured=largest)
    return Finding(
        fault=f"nothing changes with {subject.variant.text}; use the option, or drop it "
        "(a value that works only beside another is written as an example of both)",
        measured=0.0,
    )


def trace(scene: Scene) -> Mapping[str, Tensor]:
    """All that can be observed of a scene's model, by name."""
    model = scene.build_model()
    found: dict[str, Tensor] = {}
    tokens = some_tokens(3)
    packed = SequenceInfo.of_positions(
        torch.arange(LENGTH).remainder(4).expand(3, -1), torch.arange(LENGTH).div(4).long().expand(3, -1)
    )
    with torch.no_grad():
        found["logits"] = model(tokens, plain(3))[0]
        found["packed"] = model(tokens, packed)[0]
        found["streamed"] = stream(model, tokens, plain(3).positions, [4, 1, LENGTH - 5])
        state = model.init_state(3, LENGTH, CPU, torch.float32)
        after = model(tokens, SequenceInfo.of_positions(plain(3).positions), state)[1]
    found |= {f"state {name}": value for name, value in leaves(after or {}).items()}
    seq = plain(3)
    with training(model), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found["loss"] = model.loss(tokens, (tokens + 1) % VOCAB, seq)
        (found["loss"] + sum(seq.losses.values())).backward()
    found |= {f"auxiliary {name}": value.detach() for name, value in seq.losses.items()}
    for info in model.parameter_infos(1.0, 1.0):
        gradient = info.parameter.grad
        if gradient is not None and bool(gradient.any()):
            found[f"gradient {info.role} {info.name}"] = gradient.clone()
    learn(model)
    with torch.no_grad():
        found["after learning"] = model(tokens, plain(3))[0]
    return {name: value.detach() for name, value in found.items()}


def _offers_a_site(subject: Subject) -> bool:
    needs = subject.registered.component.needs
    return subject.kind == "attention" or bool(needs)


@check("attention", "positional_encoding", when=_offers_a_site)
def site_used(subject: Subject) -> Finding:
    """An encoding changes the output, at every site the attention offers, on every path.

    The measured figure is the least change; it must be above the tolerance.
    """
    least = math.inf
    # The first scene of an attention has an encoding that does nothing.
    for scene in subject.scenes[1:] if subject.kind == "attention" else subject.scenes:
        without = _without_encoding(subject, scene)
        for path, logits in _by_path(scene).items():
            change = difference(logits, without[path])
            least = min(least, change)
            if not change > SITE_THRESHOLD:
                where = f"{scene.label}: " if scene.label else ""
                fault = f"{where}the positional encoding changes the output by {change:.3g} ({path})"
                return Finding(fault, change, SITE_THRESHOLD)
    if least == math.inf:
        raise NotApplicable("offers no site")
    return Finding(measured=least, tolerance=SITE_THRESHOLD)


def _without_encoding(subject: Subject, scene: Scene) -> Mapping[str, Tensor]:
    if subject.kind == "attention":
        return _by_path(subject.scene)
    attention = scene.plan.layers[0]["attention"].spec.as_data()
    plan = plan_of(subject.catalogue, attention=attention, positional_encoding=partner("bare"))
    return _by_path(Scene(scene.kind, scene.label, plan))


def _by_path(scene: Scene) -> Mapping[str, Tensor]:
    tokens = some_tokens(2)
    with torch.no_grad():
        found = {path: scene.model(tokens, make(2))[0] for path, make in PATHS.items()}
        found["streamed"] = stream(scene.model, tokens, plain(2).positions, [1] * LENGTH)
    return found


@scene_check("block")
def residual_dropout(scene: Scene) -> Finding:
    """The config's dropout acts on what a block adds, in training."""
    model = scene.build_model(dropout=0.5)
    x, seq = noise("x", 2, LENGTH, SIZES["d_model"]), plain(2)
    block = model.blocks[0]
    with training(block), torch.no_grad(), torch.random.fork_rng(devices=[]):
        outputs = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            outputs.append(block(x, seq, None)[0])
    if torch.equal(*outputs):
        return Finding(fault="model.dropout = 0.5 changes nothing; apply nn.Dropout(ctx.dropout)")
    return PASSED


# Sums over tokens in another order, in fp32. TOLERANCE_NOTE
LOSS_TOLERANCE = 1e-4


@scene_check(*MODEL_KINDS, first_only=True)
def auxiliary_loss(scene: Scene) -> Finding:
    """A loss added by seq.add_loss is a finite sum over tokens, pads apart, and has a gradient."""
    model = scene.build_model()
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
        if scene.stochastic:
            return PASSED
        worst = Worst(LOSS_TOLERANCE)
        other = torch.where(rows.valid, tokens, (tokens + 7) % VOCAB)
        wide = torch.cat([tokens, tokens[:, :4]], 1)
        twice = SequenceInfo.of_rows(lengths.repeat(2), LENGTH)
        for again, where, factor in (
            (_losses(model, other, SequenceInfo.of_rows(lengths, LENGTH)), "other pads", 1),
            (_losses(model, wide, SequenceInfo.of_rows(lengths, LENGTH + 4)), "more pads", 1),
            (_losses(model, tokens.repeat(2, 1), twice), "every row twice, over 2", 2),
        ):
            for name, value in losses.items():
                worst.add(
                    difference(again[name] / factor, value), f"loss '{name}' with {where}"
                )
    return worst.finding()


def _losses(model: Any, tokens: Tensor, seq: SequenceInfo) -> dict[str, Tensor]:
    model(tokens, seq)
    return dict(seq.losses)
