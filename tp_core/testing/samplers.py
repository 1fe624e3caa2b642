"""Checks of samplers: what they leave is a distribution, and it depends on nothing it shouldn't."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tp_core.assembly.decoding_state import reorder
from tp_core.errors import ConfigError
from tp_core.interfaces.sampling import SamplerStep
from tp_core.testing.cases import Case
from tp_core.testing.forward_passes import ROUNDING
from tp_core.testing.generators import generator_states, global_generators
from tp_core.testing.harness import Harness, as_written, plan_of
from tp_core.testing.inputs import VOCAB
from tp_core.testing.registry import check, harness_check
from tp_core.testing.results import PASSED, Finding, NotApplicable, Worst
from tp_core.testing.sampler_runs import ROWS, STEPS, Batch, all_logits, gap, play, run
from tp_core.testing.state import malformed
from tp_core.testing.tensors import random_draws
from tp_core.testing.variants import DEFAULTS


@harness_check("sampler")
def valid_distribution(harness: Harness) -> Finding:
    """Its logits have the shape and type of those it was given, without NaN or +∞."""
    for name, logits in all_logits().items():
        for output in run(harness.build_component(), logits):
            if not isinstance(output, Tensor) or output.shape != logits.shape:
                return Finding(fault=f"{name}: the output must be a tensor {list(logits.shape)}")
            if output.dtype != torch.float32:
                return Finding(fault=f"{name}: the output is {output.dtype}, not torch.float32")
            if bool(output.isnan().any() | output.isposinf().any()):
                return Finding(fault=f"{name}: the output has NaN or +∞")
    return PASSED


@harness_check("sampler")
def keeps_something(harness: Harness) -> Finding:
    """At least one token stays in every row."""
    for name, logits in all_logits().items():
        for output in run(harness.build_component(), logits):
            if not bool(output.isfinite().any(-1).all()):
                return Finding(fault=f"{name}: a row has no token left")
    return PASSED


@harness_check("sampler")
def support(harness: Harness) -> Finding:
    """A token that was removed stays removed."""
    for name, logits in all_logits().items():
        for output in run(harness.build_component(), logits):
            if bool((logits.isneginf() & ~output.isneginf()).any()):
                return Finding(fault=f"{name}: a token that was removed is back")
    return PASSED


@harness_check("sampler")
def purity(harness: Harness) -> Finding:
    """It leaves its input as it was, and asked twice at one step it answers alike. Tolerance 0."""
    worst = Worst(0.0)
    for name, logits in all_logits().items():
        sampler, given = harness.build_component(), logits.clone()
        step = Batch().steps(sampler)[0][0]
        history = step.history.clone()
        first = sampler(given, step).clone()
        if not torch.equal(given, logits) or not torch.equal(step.history, history):
            return Finding(fault=f"{name}: it writes into the tensors it was given")
        worst.add(gap(sampler(given, step), first), f"{name}, asked again")
    return worst.finding()


@harness_check("sampler")
def seed(harness: Harness) -> Finding:
    """What it draws follows the sampling seed and nothing else: step.uniform is the only source."""
    sampler = harness.build_component()
    logits = all_logits()["spread logits"]
    runs: list[list[Tensor]] = []
    for state in (0, 1):
        steps, taken = Batch().steps(sampler)
        with global_generators(state), random_draws() as drawn:
            before = generator_states()
            runs.append(play(sampler, logits, steps, taken))
            if drawn or generator_states() != before:
                return Finding(
                    fault="it draws from a generator of its own or a global one; step.uniform(n) "
                    "gives numbers that follow the seed"
                )
    worst = Worst(0.0)
    for one, other in zip(*runs, strict=True):
        worst.add(gap(one, other), "a second run with the same seed")
    if not worst.fault and _asks_for_uniforms(sampler, logits):
        other = [step for key in range(2, 8) for step in run(sampler, logits, Batch(key=key))]
        if all(torch.equal(step, runs[0][at % STEPS]) for at, step in enumerate(other)):
            return Finding(fault="it draws uniforms, and another seed changes nothing")
    return worst.finding()


def _asks_for_uniforms(sampler: Any, logits: Tensor) -> bool:
    asked = []

    class Watched(SamplerStep):
        def uniform(self, n: int = 1) -> Tensor:
            asked.append(n)
            return super().uniform(n)

    step = Batch().steps(sampler)[0][0]
    sampler(logits, Watched(**vars(step)))
    return bool(asked)


@harness_check("sampler")
def batch_independence(harness: Harness) -> Finding:
    """A row gets what it gets alone, whoever else is in the batch."""
    worst = Worst(ROUNDING)
    sampler = harness.build_component()
    for name, logits in all_logits().items():
        together = run(sampler, logits)
        for row in range(ROWS):
            alone = run(sampler, logits[row : row + 1], Batch(rows=torch.tensor([row])))
            for one, other in zip(together, alone, strict=True):
                worst.add(gap(one[row : row + 1], other), f"{name}: a row alone")
    return worst.finding()


@harness_check("sampler")
def history_bounds(harness: Harness) -> Finding:
    """Of a row's history it reads the tokens within its length: what stands behind is anything."""
    worst = Worst(0.0)
    for name, logits in all_logits().items():
        runs = []
        for shift in (0, 1):
            sampler = harness.build_component()
            for step in Batch().steps(sampler)[0]:
                behind = torch.arange(step.history.shape[1]) >= step.lengths[:, None]
                other = torch.where(behind, (step.history + shift) % VOCAB, step.history)
                runs.append(sampler(logits.clone(), replace(step, history=other)))
        for one, other in zip(runs[:STEPS], runs[STEPS:], strict=True):
            worst.add(gap(other, one), f"{name}: other tokens behind the history")
    return worst.finding()


@harness_check("sampler")
def permutation(harness: Harness) -> Finding:
    """Ids are names: tokens renamed all through come out renamed. Logits are distinct here."""
    sampler = harness.build_component()
    if getattr(sampler, "uses_ids", False):
        raise NotApplicable("goes by what ids stand for, as its uses_ids = True says")
    worst = Worst(ROUNDING)
    order = torch.tensor([(7 * index + 3) % VOCAB for index in range(VOCAB)])
    names = torch.empty_like(order)
    names[order] = torch.arange(VOCAB)
    for name, logits in all_logits().items():
        if name == "equal logits":
            continue
        if _asks_for_uniforms(sampler, logits):
            raise NotApplicable("draws, so equally likely names needn't draw alike")
        plain, renamed = (
            run(sampler, logits),
            run(sampler, logits[:, order], Batch(names=names)),
        )
        for one, other in zip(plain, renamed, strict=True):
            worst.add(gap(other, one[:, order]), f"{name}: tokens renamed")
    if worst.fault:
        worst.fault += "; if it goes by what ids stand for, its class says uses_ids = True"
    return worst.finding()


@harness_check("sampler")
def sampler_state(harness: Harness) -> Finding:
    """Its memory has rows on dim 0: rows picked from it go on as they would have."""
    sampler = harness.build_component()
    if not hasattr(sampler, "init_state"):
        raise NotApplicable("has no memory")
    logits, picked = all_logits()["spread logits"], torch.tensor([2, 0, 0, 3])
    steps, taken = Batch().steps(sampler)
    for step, tokens in zip(steps[:-1], taken, strict=False):
        sampler(logits, step)
        if hasattr(sampler, "accept"):
            sampler.accept(tokens, step)
    fault = malformed(steps[0].state, ROWS)
    if fault:
        return Finding(fault)
    last = steps[-1]
    expected = sampler(logits, last)[picked]
    moved = replace(
        last,
        history=last.history[picked],
        lengths=last.lengths[picked],
        prompt_lengths=last.prompt_lengths[picked],
        state=reorder(last.state, picked),
        rows=last.rows[picked.numpy()],
    )
    worst = Worst(ROUNDING)
    worst.add(gap(sampler(logits[picked], moved), expected), "rows picked from its memory")
    return worst.finding()


def _greedy(logits: Tensor, output: Tensor) -> bool:
    return torch.equal(output.isfinite(), logits == logits.amax(-1, keepdim=True))


def _unchanged(logits: Tensor, output: Tensor) -> bool:
    return gap(output.log_softmax(-1), logits.log_softmax(-1)) <= ROUNDING


# What options of these usual names do at the ends of their range. Some `p` keep all at 1 and some
# at 0, and a penalty may be a factor or a term, so one of the two must.
_ENDS: dict[str, tuple[tuple[tuple[float, ...], Callable[[Tensor, Tensor], bool], str], ...]] = {
    "temperature": (((0,), _greedy, "greedy"), ((1,), _unchanged, "no change")),
    "k": (((VOCAB,), _unchanged, "no change"), ((1,), _greedy, "greedy")),
    "top_k": (((VOCAB,), _unchanged, "no change"), ((1,), _greedy, "greedy")),
    "p": (((0, 1), _unchanged, "no change"),),
    "top_p": (((1,), _unchanged, "no change"),),
    "min_p": (((0,), _unchanged, "no change"),),
    "typical_p": (((1,), _unchanged, "no change"),),
    "penalty": (((0, 1), _unchanged, "no change"),),
    "multiplier": (((0, 1), _unchanged, "no change"),),
    "probability": (((0,), _unchanged, "no change"),),
}


def _has_usual_option(case: Case) -> bool:
    options = case.registered.component.options.model_fields
    return case.variant.text == DEFAULTS and any(name in _ENDS for name in options)


@check("sampler", when=_has_usual_option)
def limits(case: Case) -> Finding:
    """At its ends a usual option is greedy, or does nothing: temperature 0, p = 1, k = all."""
    for name in set(_ENDS) & set(case.registered.component.options.model_fields):
        for values, holds, what in _ENDS[name]:
            verdicts = [_at_end(case, name, value, holds) for value in values]
            known = [verdict for verdict in verdicts if verdict is not None]
            if known and not any(known):
                ends = " or ".join(f"{name} = {value}" for value in values)
                return Finding(fault=f"{ends} must be {what}")
    return PASSED


def _at_end(
    case: Case, name: str, value: float, holds: Callable[[Tensor, Tensor], bool]
) -> bool | None:
    """Whether a limit holds; None where the option can't have that value."""
    options = {**case.variant.options, name: value}
    written = as_written(case.registered.qualified, options)
    try:
        plan = plan_of(case.catalogue, sampler=written)
    except ConfigError:
        return None
    sampler = Harness("sampler", "", plan).build_component()
    logits = all_logits()["spread logits"]
    return all(holds(logits, output) for output in run(sampler, logits))
