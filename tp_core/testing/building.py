"""Checks of how a component is built, copied, saved and moved."""

from __future__ import annotations

import copy
import io

import torch
from torch import Tensor

from tp_core.kernel.kinds import KINDS, LAYER_KINDS
from tp_core.model.decoder import Decoder
from tp_core.testing.cases import Case
from tp_core.testing.forward_passes import difference, seeded, training
from tp_core.testing.generators import drawing_from, generator_states, global_generators
from tp_core.testing.harness import Harness
from tp_core.testing.inputs import VOCAB, full_rows, noise, some_tokens
from tp_core.testing.registry import check, harness_check
from tp_core.testing.results import PASSED, Finding, Worst
from tp_core.testing.tensors import held, random_draws, registered


@check(*KINDS)
def builds(case: Case) -> Finding:
    """It can be had, with these options, at the sizes of a tiny model."""
    if case.refusal:
        return Finding(fault=case.refusal)
    for harness in case.harnesses:
        if case.kind in LAYER_KINDS:
            assert harness.model is not None
        harness.build_component()
    return PASSED


@harness_check(*LAYER_KINDS, first_only=True)
def seed_determinism(harness: Harness) -> Finding:
    """One seed gives one start, whatever the global generators hold, and these don't move."""
    starts = []
    for state in (0, 1):
        with global_generators(state):
            before = generator_states()
            starts.append(held(harness.build_model(moved=False)))
            if generator_states() != before:
                return Finding(
                    fault="building it moves a global random generator (torch's, NumPy's "
                    "or Python's); draw start values from torch's generator only, in "
                    "the constructor, where it is set aside"
                )
    first, second = starts
    for name, tensor in first.items():
        if name not in second or not torch.equal(tensor, second[name]):
            return Finding(fault=f"'{name}' starts elsewhere when built again with the same seed")
    return PASSED


@harness_check(*LAYER_KINDS, first_only=True)
def seed_used(harness: Harness) -> Finding:
    """Another seed gives other start values: every random draw follows it."""
    first, second = (_draws(harness, seed) for seed in (1, 2))
    for one, other in zip(first, second, strict=False):
        constant = one.numel() == 0 or bool((one == one.flatten()[0]).all())
        if one.shape == other.shape and torch.equal(one, other) and not constant:
            return Finding(
                fault=f"random numbers of shape {tuple(one.shape)} are drawn alike under two "
                "seeds; use no generator of your own and no manual_seed in the constructor"
            )
    return PASSED


@harness_check(*LAYER_KINDS, first_only=True)
def state_dict_round_trip(harness: Harness) -> Finding:
    """A trained model's state_dict, loaded over another start, gives the same model.

    Tolerance 0: equal numbers through equal operations.
    """
    source, target = harness.build_model(seed=1), harness.build_model(seed=2)
    learn(source)
    file = io.BytesIO()
    torch.save(source.state_dict(), file)
    file.seek(0)
    target.load_state_dict(torch.load(file, weights_only=True))
    return _alike(target, source, "after loading")


@harness_check(*LAYER_KINDS, first_only=True)
def tensors_registered(harness: Harness) -> Finding:
    """Every tensor it holds is a parameter or a buffer, so that .to(device) moves it."""
    model = harness.build_model()
    model(some_tokens(2), full_rows(2))  # some are made when first needed
    known = {id(tensor) for tensor in registered(model).values()}
    loose = [path for path, tensor in held(model).items() if id(tensor) not in known]
    if loose:
        return Finding(
            fault=f"'{loose[0]}' is a tensor that .to(device) doesn't move: "
            "make it a parameter, or register_buffer it"
        )
    return PASSED


@harness_check(*LAYER_KINDS, first_only=True)
def deepcopy(harness: Harness) -> Finding:
    """A deep copy computes the same, and shares nothing with the original. Tolerance 0."""
    model = harness.build_model()
    twin = copy.deepcopy(model)
    same = _alike(twin, model, "a deep copy")
    if same.fault:
        return same
    untouched = model(some_tokens(2), full_rows(2))[0]
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            parameter.add_(noise(f"copy {name}", *parameter.shape))
    worst = Worst(0.0)
    after = model(some_tokens(2), full_rows(2))[0]
    worst.add(difference(after, untouched), "the original, once its copy's parameters changed")
    return worst.finding()


@harness_check(*LAYER_KINDS, first_only=True)
def evaluation_repeats(harness: Harness) -> Finding:
    """In evaluation the same input gives the same output: no dropout, no memory. Tolerance 0."""
    worst = Worst(0.0)
    tokens, seq = some_tokens(2), full_rows(2)
    with torch.no_grad():
        first = seeded(0, harness.model, tokens, seq)[0]
        harness.model(some_tokens(2, purpose="between"), full_rows(2))
        worst.add(
            difference(seeded(1, harness.model, tokens, full_rows(2))[0], first), "a second pass"
        )
    return worst.finding()


def _draws(harness: Harness, seed: int) -> list[Tensor]:
    with random_draws() as drawn:
        harness.build_model(seed, moved=False)
    return drawn


def learn(model: Decoder, steps: int = 2) -> None:
    """A little gradient descent, as the training loop does it, so that what learns has moved."""
    with training(model):
        for step in range(steps):
            tokens, seq = some_tokens(3, purpose=f"learn {step}"), full_rows(3)
            with drawing_from(step):
                loss = model.loss(tokens, (tokens + 1) % VOCAB, seq) + sum(seq.losses.values())
                torch.autograd.backward(loss)
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.grad is not None:
                        parameter.sub_(0.003 * parameter.grad)
            model.zero_grad()
            for module in model.modules():
                after_step = getattr(module, "after_step", None)
                if callable(after_step):
                    after_step()


def _alike(model: Decoder, reference: Decoder, where: str) -> Finding:
    worst = Worst(0.0)
    tokens = some_tokens(2)
    with torch.no_grad():
        pair: list[Tensor] = [m(tokens, full_rows(2))[0] for m in (model, reference)]
        worst.add(difference(*pair), where)
        with training(model), training(reference):
            pair = [seeded(0, m, tokens, full_rows(2))[0] for m in (model, reference)]
        worst.add(difference(*pair), f"{where}, in training mode")
    return worst.finding()
