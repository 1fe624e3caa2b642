"""Every sampler with every option against transformers, where it has the sampler, and against a
plain second implementation; and the rules on ties, removed tokens and prompts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plain_samplers import INF, Row, mirostat_mu, plain, surprises
from tiny_runs import make_plan
from torch import Tensor
from transformers.generation import logits_process as hf

from tp_core.generation.sampler_chain import SamplerChain
from tp_core.interfaces import SamplerStep
from tp_core.kernel.catalogue import Catalogue

V = 40
BOS = 1
CLOSE: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-6}  # fp32 logits of up to 20
CPU = torch.device("cpu")
Build = Callable[[dict[str, Any]], Any]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """An instance of a sampler, written as in a config."""

    def built(sampler: dict[str, Any]) -> Any:
        plan = make_plan(tmp_path, {"sampling.samplers": [sampler]})
        return SamplerChain(plan, V).samplers[0]

    return built


# Each option alone, at values on both sides of its default and at its ends.
VALUES: dict[str, dict[str, Sequence[float]]] = {
    "greedy": {},
    "temperature": {"temperature": (0, 0.3, 1, 2.5)},
    "top_k": {"k": (1, 2, 7, 99)},
    "top_p": {"p": (1e-9, 0.2, 0.6, 0.99, 1)},
    "min_p": {"p": (0, 0.02, 0.3, 1)},
    "typical": {"p": (1e-9, 0.2, 0.6, 0.99, 1)},
    "top_n_sigma": {"n": (1e-9, 0.5, 2, 99)},
    "mirostat": {"tau": (0.01, 1, 2, 6), "eta": (0.01, 1, 5)},
    "xtc": {"threshold": (0.01, 0.05, 0.3, 0.5), "probability": (0, 0.2, 0.9, 1)},
    "repetition_penalty": {"penalty": (0.4, 1, 1.1, 5)},
    "frequency_penalty": {"penalty": (-2, -0.5, 0, 0.1, 2)},
    "presence_penalty": {"penalty": (-2, -0.5, 0, 0.1, 2)},
    "dry": {
        "multiplier": (0, 0.1, 3),
        "base": (1, 1.1, 4),
        "allowed_length": (1, 3, 5, 99),
    },
    "no_repeat_ngram": {"n": (1, 2, 4, 5, 99)},
}
# By what tokens stand for: test_sampler_text.py.
BY_TEXT = {"min_new_tokens": {"n"}, "allowed_text": {"pattern"}}
SAMPLERS = [
    {"name": name, **options}
    for name, fields in VALUES.items()
    for options in [{}, *({field: v} for field, values in fields.items() for v in values)]
]


def test_every_option_of_every_sampler_is_here() -> None:
    found = {
        registered.component.name: set(registered.component.options.model_fields)
        for registered in Catalogue().loaded("sampler")
    }
    assert found == {name: set(fields) for name, fields in VALUES.items()} | BY_TEXT


STEPS = 4
ROWS = 24


def all_logits(ties: bool) -> Tensor:
    """fp32 [STEPS, ROWS, V]: flat and steep rows, tokens removed from all and more from some."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(STEPS, ROWS, V, generator=generator)
    logits *= torch.linspace(0.3, 5, ROWS)[:, None]
    if ties:
        logits = logits.round()
    logits[..., 0] = -INF
    logits[:, ::3, 10:25] = -INF
    logits[:, 5, 3:] = -INF
    return logits


def some_history() -> tuple[Tensor, Tensor]:
    """Tokens [ROWS, 24] of a few kinds, so that they repeat, and prompts of 1 to 18 of them."""
    generator = torch.Generator().manual_seed(5)
    history = torch.randint(2, 6, (ROWS, 24), generator=generator)
    history[5] = 2  # what is there in that row
    history[:, 0] = BOS
    history[6] = torch.tensor([2, 3, 4]).repeat(8)  # from its first token on
    return history, 1 + torch.arange(ROWS) * 5 % 18


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_against_the_definition(sampler: dict[str, Any], ties: bool, build: Build) -> None:
    """Over some steps, each row with its own past; the tokens drawn are the history's."""
    built = build(sampler)
    all_steps, (history, prompts) = all_logits(ties), some_history()
    state = built.init_state(ROWS, CPU) if hasattr(built, "init_state") else {}
    tau, eta = sampler.get("tau", 3.0), sampler.get("eta", 0.1)
    mu = [2 * tau] * ROWS
    for at, logits in enumerate(all_steps):
        lengths = prompts + at
        step = SamplerStep(history, lengths, state, key=7, rows=np.arange(ROWS), draw=1)
        output, uniform = built(logits, step), step.uniform()
        taken = history.gather(1, lengths[:, None])[:, 0]
        if hasattr(built, "accept"):
            built.accept(taken, step)
        for row in range(ROWS):
            tokens = history[row, : lengths[row]].tolist()
            seen = Row(tokens, tokens[int(prompts[row]) :], mu[row], float(uniform[row]))
            expected = torch.tensor(plain(sampler, logits[row].tolist(), seen)).double()
            found = output[row].double()
            torch.testing.assert_close(found.log_softmax(0), expected.log_softmax(0), **CLOSE)
            mu[row] = mirostat_mu(mu[row], logits[row].tolist(), int(taken[row]), tau, eta)


HUGGING_FACE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "temperature": lambda o: hf.TemperatureLogitsWarper(float(o["temperature"])),
    "top_k": lambda o: hf.TopKLogitsWarper(o.get("k", 50)),
    "top_p": lambda o: hf.TopPLogitsWarper(o.get("p", 0.9)),
    "min_p": lambda o: hf.MinPLogitsWarper(o.get("p", 0.1)),
    "typical": lambda o: hf.TypicalLogitsWarper(o.get("p", 0.95)),
    "repetition_penalty": lambda o: hf.RepetitionPenaltyLogitsProcessor(
        float(o.get("penalty", 1.2))
    ),
    "no_repeat_ngram": lambda o: hf.NoRepeatNGramLogitsProcessor(o.get("n", 3)),
}
# Refused there: its limit, no change.
_HF_LACKS = ({"name": "temperature", "temperature": 0}, {"name": "typical", "p": 1})


@pytest.mark.parametrize(
    "sampler", [s for s in SAMPLERS if s["name"] in HUGGING_FACE and s not in _HF_LACKS], ids=str
)
def test_against_transformers(sampler: dict[str, Any], build: Build) -> None:
    built, theirs = build(sampler), HUGGING_FACE[sampler["name"]]({"temperature": 1, **sampler})
    history, prompts = some_history()
    for at, logits in enumerate(all_logits(ties=False)):
        step = SamplerStep(history, prompts + at, {})
        output = built(logits, step).double().log_softmax(-1)
        for row in range(ROWS):
            tokens = history[row : row + 1, : int(prompts[row]) + at]
            expected = theirs(tokens, logits[row : row + 1].clone())[0]
            if bool(expected.isneginf().all()):  # transformers doesn't mind, see below
                expected = logits[row]
            torch.testing.assert_close(output[row], expected.double().log_softmax(-1), **CLOSE)


# Ties: four tokens at 3, the others at −9.


def tied(*ids: int) -> Tensor:
    logits = torch.full((1, V), -9.0)
    logits[:, list(ids)] = 3.0
    return logits


def kept(built: Any, logits: Tensor, uniform: float = 0.0, **state: Tensor) -> list[int]:
    class Step(SamplerStep):
        def uniform(self, n: int = 1) -> Tensor:
            return torch.full((1, n), uniform, dtype=torch.float64)

    step = Step(torch.tensor([[BOS]]), torch.tensor([1]), dict(state))
    return [i for i, x in enumerate(built(logits, step)[0].tolist()) if x > -INF]


FOUR = [2, 5, 6, 9]


@pytest.mark.parametrize(
    ("sampler", "stay"),
    [
        ({"name": "greedy"}, [2]),
        ({"name": "temperature", "temperature": 0}, [2]),
        # In order of probability, equal ones by id.
        ({"name": "top_k", "k": 2}, [2, 5]),
        ({"name": "top_p", "p": 0.5}, [2, 5, 6]),  # of a little less than 1/4 each
        ({"name": "typical", "p": 0.5}, [2, 5, 6]),
        ({"name": "xtc", "threshold": 0.1}, [i for i in range(V) if i not in (2, 5, 6)]),
        # By a threshold: all or none of them.
        ({"name": "min_p", "p": 1}, FOUR),
        ({"name": "min_p", "p": 1e-5}, FOUR),
        ({"name": "top_n_sigma", "n": 1e-9}, FOUR),
        ({"name": "mirostat", "tau": 1.01}, FOUR),  # of a little more than 2 bits each
        ({"name": "mirostat", "tau": 0.99}, [2]),  # none would be left
    ],
    ids=str,
)
def test_ties(sampler: dict[str, Any], stay: list[int], build: Build) -> None:
    built = build(sampler)
    state = built.init_state(1, CPU) if hasattr(built, "init_state") else {}
    assert kept(built, tied(*FOUR), **state) == stay


def test_where_transformers_breaks_ties_otherwise(build: Build) -> None:
    """It keeps all that tie with the last to stay, or whichever its sort puts first."""
    tokens = torch.tensor([[BOS]])
    for theirs in (hf.TopKLogitsWarper(2), hf.TypicalLogitsWarper(0.5)):
        assert theirs(tokens, tied(*FOUR))[0].isfinite().nonzero()[:, 0].tolist() == FOUR
    assert int(hf.TopPLogitsWarper(0.5)(tokens, tied(*FOUR)).isfinite().sum()) == 3


def test_xtc_leaves_all_above_the_chance(build: Build) -> None:
    built = build({"name": "xtc", "probability": 0.3})
    assert len(kept(built, tied(*FOUR), uniform=0.3)) == V
    assert len(kept(built, tied(*FOUR), uniform=0.2999)) == V - 3
    assert len(kept(built, tied(4), uniform=0.0)) == V  # one top choice has no other
    never = build({"name": "xtc", "probability": 0})
    assert len(kept(never, tied(*FOUR), uniform=0.0)) == V


# Nothing left.


def test_no_repeat_ngram_leaves_a_row_it_would_empty(build: Build) -> None:
    history = torch.tensor([[BOS, 2, 3, 2, 0], [BOS, 2, 3, 4, 0]])
    step = SamplerStep(history, torch.tensor([4, 4]), {})
    logits = torch.full((2, V), -INF)
    logits[:, 1:4] = torch.tensor([0.5, 1.0, 2.0])
    output = build({"name": "no_repeat_ngram", "n": 1})(logits, step)
    assert torch.equal(output, logits)
    theirs = hf.NoRepeatNGramLogitsProcessor(1)(history[:, :4], logits.clone())
    assert bool(theirs.isneginf().all())
    logits[1, 7] = -50.0
    output = build({"name": "no_repeat_ngram", "n": 1})(logits, step)
    assert torch.equal(output[0], logits[0])
    assert output[1].isfinite().nonzero()[:, 0].tolist() == [7]


@pytest.mark.parametrize(
    "sampler",
    [
        {"name": "dry", "base": 1e6},
        {"name": "dry", "multiplier": 1e300},
        {"name": "dry", "multiplier": 1e300, "base": 1e300, "allowed_length": 1},
        {"name": "repetition_penalty", "penalty": 1e300},
        {"name": "repetition_penalty", "penalty": 1e-300},
    ],
    ids=str,
)
def test_no_penalty_is_too_large(sampler: dict[str, Any], build: Build) -> None:
    """It is held to what fp32 can hold: the token is there, and drawn if it is the only one."""
    built = build(sampler)
    step = SamplerStep(torch.full((2, 500), 2), torch.tensor([500, 1]), {})
    logits = torch.zeros(2, V)
    logits[:, 2] = -3.0
    output = built(logits, step)
    assert bool(output.isfinite().all())
    if sampler.get("penalty", 2) > 1:
        assert float(output[0, 2]) < -1e30
    only = torch.full((2, V), -INF)
    for value in (-3.0, 0.0, 3.0):
        only[:, 2] = value
        output = built(only, step)
        assert torch.equal(output.isfinite(), only.isfinite())
        assert torch.isfinite(built(output, step)[:, 2]).all()  # and again


# Prompts, and what is drawn.


def test_what_counts_as_having_occurred(build: Build) -> None:
    """Prompts do where a text repeats; the API's penalties count what was drawn."""
    history = torch.tensor([[BOS, 2, 3, 2, 3, 9, 9]])
    logits = torch.zeros(1, V)
    changed = {}
    for name in VALUES:
        if "penalty" not in name and name not in ("dry", "no_repeat_ngram"):
            continue
        built = build({"name": name})
        state = built.init_state(1, CPU) if hasattr(built, "init_state") else {}
        # The prompt is the first four, then 3 is drawn.
        before = SamplerStep(history, torch.tensor([4]), state)
        built(logits + 1, before)
        if hasattr(built, "accept"):
            built.accept(torch.tensor([3]), before)
        output = built(logits + 1, SamplerStep(history, torch.tensor([5]), state))
        changed[name] = (output != 1)[0].nonzero()[:, 0].tolist()
    assert changed == {
        "repetition_penalty": [BOS, 2, 3],
        "frequency_penalty": [3],
        "presence_penalty": [3],
        "dry": [2],
        "no_repeat_ngram": [2],
    }


def test_both_api_penalties_add_up_to_openais_formula(tmp_path: Path) -> None:
    """logit − frequency · count − presence · (count > 0)"""
    frequency, presence = 0.7, 1.3
    written = [
        {"name": "frequency_penalty", "penalty": frequency},
        {"name": "presence_penalty", "penalty": presence},
    ]
    chain = SamplerChain(make_plan(tmp_path, {"sampling.samplers": written}), V)
    states = chain.init_states(3, CPU)
    history, lengths = torch.full((3, 9), BOS), torch.ones(3, dtype=torch.int64)
    counts = torch.zeros(3, V)
    logits = torch.randn(3, V, generator=torch.Generator().manual_seed(0))
    for position in range(6):
        seen = logits
        for sampler, state in zip(chain.samplers, states, strict=True):
            seen = sampler(seen, SamplerStep(history, lengths, state))
        expected = logits - frequency * counts - presence * (counts > 0)
        torch.testing.assert_close(seen, expected)
        tokens = chain.draw(4 * logits, history, lengths, np.arange(3), states, seed=position)
        counts[torch.arange(3), tokens] += 1
        history = history.scatter(1, lengths[:, None], tokens[:, None])
        lengths = lengths + 1
    assert float(counts.max()) > 1


@pytest.mark.parametrize("tau", [3.5, 4.2])
def test_mirostat_keeps_the_surprise_it_was_told(tau: float, tmp_path: Path) -> None:
    """In bits, under the distribution before the cut; logits change from step to step."""
    rows, steps = 20, 600
    written = [{"name": "mirostat", "tau": tau}]
    chain = SamplerChain(make_plan(tmp_path, {"sampling.samplers": written}), V)
    states = chain.init_states(rows, CPU)
    history = torch.full((rows, steps + 1), BOS)
    generator = torch.Generator().manual_seed(1)
    total = torch.zeros(rows)
    for position in range(1, steps + 1):
        logits = torch.randn(rows, V, generator=generator)
        lengths = torch.full((rows,), position)
        tokens = chain.draw(logits, history, lengths, np.arange(rows), states, seed=1)
        observed = -logits.log_softmax(-1)[torch.arange(rows), tokens] / math.log(2)
        if position > steps // 2:
            total += observed
    assert float((total / (steps // 2) - tau).abs().max()) < 0.05
    # Without it, it would be the entropy.
    assert sum(s * 2**-s for s in surprises(logits[0].tolist())) > 4.4
