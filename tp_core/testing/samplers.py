"""Checks of samplers: what they leave is a distribution, and it depends on nothing it shouldn't."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tp_core.errors import ConfigError
from tp_core.interfaces.sampling import SamplerStep
from tp_core.interfaces.state import State, reorder
from tp_core.testing.registry import check, scene_check
from tp_core.testing.results import PASSED, Finding, NotApplicable, Worst
from tp_core.testing.scenes import (
    CPU,
    VOCAB,
    Scene,
    as_written,
    generator_states,
    global_generators,
    noise,
    plan_of,
    some_tokens,
)
from tp_core.testing.state import malformed
from tp_core.testing.subjects import Subject
from tp_core.testing.tensors import random_draws
from tp_core.testing.variants import DEFAULTS

_ROWS = 4
_STEPS = 3

# Sums over the vocabulary in another order, in fp32 at least. TOLERANCE_NOTE
TOLERANCE = 1e-5


def _logits() -> dict[str, Tensor]:
    spread = 2 * noise("logits", _ROWS, VOCAB)
    ids = torch.arange(VOCAB)
    return {
        "spread logits": spread,
        "equal logits": torch.zeros(_ROWS, VOCAB),
        "one likely token": spread + 50 * (ids == 3),
        "half of the tokens removed": spread.masked_fill(ids % 2 == 0, -torch.inf),
        "all tokens but one removed": spread.masked_fill(ids != 5, -torch.inf),
        "huge logits": 1e4 * spread,
        "negative logits": spread - 100,
    }


@dataclass(frozen=True, eq=False)
class Batch:
    """What a sampler sees at each of some steps: rows by number, and the tokens they turn into."""

    rows: Tensor = field(default_factory=lambda: torch.arange(_ROWS))
    names: Tensor = field(default_factory=lambda: torch.arange(VOCAB))
    key: int = 1

    def steps(self, sampler: Any) -> tuple[list[SamplerStep], list[Tensor]]:
        """The steps, sharing one state, and the token each row takes at each. `names` says what id
        every token goes by."""
        state = _init_state(sampler, len(self.rows))
        lengths = torch.tensor([6, 4, 2, 1])[self.rows]
        history = self.names[some_tokens(_ROWS, 6 + _STEPS, purpose="history")[self.rows]]
        rows = self.rows.numpy().astype(np.int64)
        made = [
            SamplerStep(history, lengths + at, state, self.key, rows, draw=1)
            for at in range(_STEPS)
        ]
        taken = [history.gather(1, (lengths + at)[:, None])[:, 0] for at in range(_STEPS)]
        return made, taken


def _init_state(sampler: Any, batch: int) -> State:
    state: State = sampler.init_state(batch, CPU) if hasattr(sampler, "init_state") else {}
    return state


def _run(sampler: Any, logits: Tensor, batch: Batch | None = None) -> list[Tensor]:
    """Its output at each step, over rows [B, V] of logits."""
    return _play(sampler, logits, *(batch or Batch()).steps(sampler))


def _play(
    sampler: Any, logits: Tensor, steps: list[SamplerStep], taken: list[Tensor]
) -> list[Tensor]:
    outputs = []
    for step, tokens in zip(steps, taken, strict=True):
        outputs.append(sampler(logits.clone(), step))
        if hasattr(sampler, "accept"):
            sampler.accept(tokens, step)
    return outputs


def gap(a: Tensor, b: Tensor) -> float:
    """The largest difference between logits; infinite where another token is removed."""
    if a.shape != b.shape or not torch.equal(a.isneginf(), b.isneginf()):
        return float("inf")
    kept = ~b.isneginf()
    scale = b[kept].abs().max().clamp(min=1)
    return float((a[kept] - b[kept]).abs().max() / scale)


def trace(scene: Scene) -> Mapping[str, Tensor]:
    """What a sampler makes of every kind of logits, removed tokens being a large number."""
    return {
        f"{name}, step {index}": output.nan_to_num(neginf=-1e6)
        for name, logits in _logits().items()
        for index, output in enumerate(_run(scene.build_component(), logits))
    }


@scene_check("sampler")
def valid_distribution(scene: Scene) -> Finding:
    """Its logits have the shape and type of those it was given, without NaN or +∞."""
    for name, logits in _logits().items():
        for output in _run(scene.build_component(), logits):
            if not isinstance(output, Tensor) or output.shape != logits.shape:
                return Finding(fault=f"{name}: the output must be a tensor {list(logits.shape)}")
            if output.dtype != torch.float32:
                return Finding(fault=f"{name}: the output is {output.dtype}, not torch.float32")
            if bool(output.isnan().any() | output.isposinf().any()):
                return Finding(fault=f"{name}: the output has NaN or +∞")
    return PASSED


@scene_check("sampler")
def keeps_something(scene: Scene) -> Finding:
    """At least one token stays in every row."""
    for name, logits in _logits().items():
        for output in _run(scene.build_component(), logits):
            if not bool(output.isfinite().any(-1).all()):
                return Finding(fault=f"{name}: a row has no token left")
    return PASSED


@scene_check("sampler")
def support(scene: Scene) -> Finding:
    """A token that was removed stays removed."""
    for name, logits in _logits().items():
        for output in _run(scene.build_component(), logits):
            if bool((logits.isneginf() & ~output.isneginf()).any()):
                return Finding(fault=f"{name}: a token that was removed is back")
    return PASSED


@scene_check("sampler")
def purity(scene: Scene) -> Finding:
    """It leaves its input as it was, and asked twice at one step it answers alike. Tolerance 0."""
    worst = Worst(0.0)
    for name, logits in _logits().items():
        sampler, given = scene.build_component(), logits.clone()
        step = Batch().steps(sampler)[0][0]
        history = step.history.clone()
        first = sampler(given, step).clone()
        if not torch.equal(given, logits) or not torch.equal(step.history, history):
            return Finding(fault=f"{name}: it writes into the tensors it was given")
        worst.add(gap(sampler(given, step), first), f"{name}, asked again")
    return worst.finding()


@scene_check("sampler")
def seed(scene: Scene) -> Finding:
    """What it draws follows the sampling seed and nothing else: step.uniform is the only source."""
    sampler = scene.build_component()
    logits = _logits()["spread logits"]
    runs: list[list[Tensor]] = []
    for state in (0, 1):
        steps, taken = Batch().steps(sampler)
        with global_generators(state), random_draws() as drawn:
            before = generator_states()
            runs.append(_play(sampler, logits, steps, taken))
            if drawn or generator_states() != before:
                return Finding(
                    fault="it draws from a generator of its own or a global one; step.uniform(n) "
                    "gives numbers that follow the seed"
                )
    worst = Worst(0.0)
    for one, other in zip(*runs, strict=True):
        worst.add(gap(one, other), "a second run with the same seed")
    if not worst.fault and _asks_for_uniforms(sampler, logits):
        other = [step for key in range(2, 8) for step in _run(sampler, logits, Batch(key=key))]
        if all(torch.equal(step, runs[0][at % _STEPS]) for at, step in enumerate(other)):
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


@scene_check("sampler")
def batch_independence(scene: Scene) -> Finding:
    """A row gets what it gets alone, whoever else is in the batch."""
    worst = Worst(TOLERANCE)
    sampler = scene.build_component()
    for name, logits in _logits().items():
        together = _run(sampler, logits)
        for row in range(_ROWS):
            alone = _run(sampler, logits[row : row + 1], Batch(rows=torch.tensor([row])))
            for one, other in zip(together, alone, strict=True):
                worst.add(gap(one[row : row + 1], other), f"{name}: a row alone")
    return worst.finding()


@scene_check("sampler")
def permutation(scene: Scene) -> Finding:
    """Ids are names: tokens renamed all through come out renamed. Logits are distinct here."""
    sampler = scene.build_component()
    worst = Worst(TOLERANCE)
    order = torch.tensor([(7 * index + 3) % VOCAB for index in range(VOCAB)])
    names = torch.empty_like(order)
    names[order] = torch.arange(VOCAB)
    for name, logits in _logits().items():
        if name == "equal logits":
            continue
        if _asks_for_uniforms(sampler, logits):
            raise NotApplicable("draws, so equally likely names needn't draw alike")
        plain, renamed = (
            _run(sampler, logits),
            _run(sampler, logits[:, order], Batch(names=names)),
        )
        for one, other in zip(plain, renamed, strict=True):
            worst.add(gap(other, one[:, order]), f"{name}: tokens renamed")
    return worst.finding()


@scene_check("sampler")
def sampler_state(scene: Scene) -> Finding:
    """Its memory has rows on dim 0: rows picked from it go on as they would have."""
    sampler = scene.build_component()
    if not hasattr(sampler, "init_state"):
        raise NotApplicable("has no memory")
    logits, picked = _logits()["spread logits"], torch.tensor([2, 0, 0, 3])
    steps, taken = Batch().steps(sampler)
    for step, tokens in zip(steps[:-1], taken, strict=False):
        sampler(logits, step)
        if hasattr(sampler, "accept"):
            sampler.accept(tokens, step)
    fault = malformed(steps[0].state, _ROWS)
    if fault:
        return Finding(fault)
    last = steps[-1]
    expected = sampler(logits, last)[picked]
    moved = replace(
        last,
        history=last.history[picked],
        lengths=last.lengths[picked],
        state=reorder(last.state, picked),
        rows=last.rows[picked.numpy()],
    )
    worst = Worst(TOLERANCE)
    worst.add(gap(sampler(logits[picked], moved), expected), "rows picked from its memory")
    return worst.finding()


def _greedy(logits: Tensor, output: Tensor) -> bool:
    return torch.equal(output.isfinite(), logits == logits.amax(-1, keepdim=True))


def _unchanged(logits: Tensor, output: Tensor) -> bool:
    return gap(output.log_softmax(-1), logits.log_softmax(-1)) <= TOLERANCE


# What options of these usual names do at the ends of their range. Some `p` keep all at 1 and some
# at 0, so one of the two must.
_ENDS: dict[str, tuple[tuple[tuple[float, ...], Callable[[Tensor, Tensor], bool], str], ...]] = {
    "temperature": (((0,), _greedy, "greedy"), ((1,), _unchanged, "no change")),
    "k": (((VOCAB,), _unchanged, "no change"), ((1,), _greedy, "greedy")),
    "top_k": (((VOCAB,), _unchanged, "no change"), ((1,), _greedy, "greedy")),
    "p": (((0, 1), _unchanged, "no change"),),
    "top_p": (((1,), _unchanged, "no change"),),
    "min_p": (((0,), _unchanged, "no change"),),
    "penalty": (((1,), _unchanged, "no change"),),
}


def _has_usual_option(subject: Subject) -> bool:
    options = subject.registered.component.options.model_fields
    return subject.variant.text == DEFAULTS and any(name in _ENDS for name in options)


@check("sampler", when=_has_usual_option)
def limits(subject: Subject) -> Finding:
    """At its ends a usual option is greedy, or does nothing: temperature 0, p = 1, k = all."""
    for name in set(_ENDS) & set(subject.registered.component.options.model_fields):
        for values, holds, what in _ENDS[name]:
            verdicts = [_at_end(subject, name, value, holds) for value in values]
            known = [verdict for verdict in verdicts if verdict is not None]
            if known and not any(known):
                ends = " or ".join(f"{name} = {value}" for value in values)
                return Finding(fault=f"{ends} must be {what}")
    return PASSED


def _at_end(
    subject: Subject, name: str, value: float, holds: Callable[[Tensor, Tensor], bool]
) -> bool | None:
    """Whether a limit holds; None where the option can't have that value."""
    options = {**subject.variant.options, name: value}
    written = as_written(subject.registered.qualified, options)
    try:
        plan = plan_of(subject.catalogue, sampler=written)
    except ConfigError:
        return None
    sampler = Scene("sampler", "", plan).build_component()
    logits = _logits()["spread logits"]
    return all(holds(logits, output) for output in _run(sampler, logits))
