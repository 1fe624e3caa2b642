"""Goodness of fit: what is drawn through each sampler follows the distribution that it should have,
worked out by the plain second implementations; what it removes is never drawn."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from plain_samplers import INF, Row, mirostat_mu, plain, softmax
from scipy import stats
from tiny_runs import make_plan

from tp_core.generation.sampler_chain import SamplerChain
from tp_core.interfaces import SamplerStep

V, N = 30, 40_000
# The end `8 4 5` stood there before, and 6 came after it; the last four were drawn.
TOKENS = [1, 8, 4, 5, 6, 8, 8, 4, 5]
DRAWN = 4
LOGITS: list[float] = (1.3 * torch.randn(V, generator=torch.Generator().manual_seed(4))).tolist()
LOGITS[0] = LOGITS[1] = -INF
LOGITS[6] = LOGITS[8] = 3.2  # the most likely: it matters what becomes of them

Chain = list[dict[str, Any]]


def expected(samplers: Chain) -> NDArray[np.float64]:
    """The exact distribution [V] of the next token. Where a sampler acts by chance, the mixture."""

    def onward(logits: list[float], rest: Chain) -> NDArray[np.float64]:
        if not rest:
            return np.array(softmax(logits))
        sampler, row = rest[0], Row(TOKENS, TOKENS[-DRAWN:])
        if sampler["name"] == "xtc":
            chance = sampler.get("probability", 0.5)
            cases = {0.0: chance, 1.0: 1 - chance}
        else:
            cases = {0.0: 1.0}
        if sampler["name"] == "mirostat":
            tau, eta = sampler.get("tau", 3.0), sampler.get("eta", 0.1)
            row.mu = 2 * tau
            for token in row.drawn:
                row.mu = mirostat_mu(row.mu, logits, token, tau, eta)
        total = np.zeros(V)
        for uniform, weight in cases.items():
            row.uniform = uniform
            total += weight * onward(plain(sampler, logits, row), rest[1:]) if weight else 0
        return total

    return onward(LOGITS, samplers)


def draws(samplers: Chain, folder: Path) -> NDArray[np.int64]:
    """How often each token is drawn as the next one of N rows that are alike."""
    chain = SamplerChain(make_plan(folder, {"sampling.samplers": samplers}), V)
    states = chain.init_states(N, torch.device("cpu"))
    logits = torch.tensor(LOGITS).expand(N, -1).clone()
    history = torch.tensor([*TOKENS, 0]).expand(N, -1).clone()
    rows = np.arange(N)
    for at in range(len(TOKENS) - DRAWN, len(TOKENS)):
        seen = logits
        for sampler, state in zip(chain.samplers, states, strict=True):
            step = SamplerStep(history, torch.full((N,), at), state, 0, rows)
            seen = sampler(seen, step)
            if hasattr(sampler, "accept"):
                sampler.accept(history[:, at], step)
    lengths = torch.full((N,), len(TOKENS))
    tokens = chain.draw(logits, history, lengths, rows, states, seed=11)
    return np.bincount(tokens.numpy(), minlength=V)


def fit(counts: NDArray[np.int64], distribution: NDArray[np.float64]) -> float:
    """The chance of counts at least this far from a distribution, by chi-square; 0 where something
    was drawn that can't be."""
    if counts[distribution == 0].any():
        return 0.0
    # Rare tokens are put together, so that every cell expects at least ten.
    rare = distribution * N < 10
    observed = np.append(counts[~rare], counts[rare].sum())
    cells = np.append(distribution[~rare], distribution[rare].sum()) * N
    if cells[-1] < 10:
        observed[-2] += observed[-1]
        cells[-2] += cells[-1]
        observed, cells = observed[:-1], cells[:-1]
    if len(cells) == 1:  # certain
        return 1.0
    return float(stats.chisquare(observed, cells).pvalue)


CHAINS: list[Chain] = [
    [],
    [{"name": "greedy"}],
    [{"name": "temperature", "temperature": 0}],
    [{"name": "temperature", "temperature": 0.6}],
    [{"name": "temperature", "temperature": 1.7}],
    [{"name": "top_k", "k": 1}],
    [{"name": "top_k", "k": 6}],
    [{"name": "top_p", "p": 0.4}],
    [{"name": "top_p"}],
    [{"name": "min_p"}],
    [{"name": "min_p", "p": 0.5}],
    [{"name": "typical", "p": 0.3}],
    [{"name": "typical"}],
    [{"name": "top_n_sigma"}],
    [{"name": "top_n_sigma", "n": 0.2}],
    [{"name": "mirostat"}],
    [{"name": "mirostat", "tau": 3.5, "eta": 0.05}],
    [{"name": "mirostat", "tau": 0.5}],
    [{"name": "xtc"}],
    [{"name": "xtc", "threshold": 0.05, "probability": 0.2}],
    [{"name": "xtc", "threshold": 0.02, "probability": 1}],
    [{"name": "repetition_penalty"}],
    [{"name": "repetition_penalty", "penalty": 3}],
    [{"name": "frequency_penalty"}],
    [{"name": "frequency_penalty", "penalty": -1}],
    [{"name": "presence_penalty", "penalty": 2}],
    [{"name": "presence_penalty", "penalty": -1}],
    [{"name": "dry"}],
    [{"name": "dry", "multiplier": 1.5, "base": 1.3, "allowed_length": 1}],
    [{"name": "no_repeat_ngram"}],
    [{"name": "no_repeat_ngram", "n": 1}],
    # The order they stand in, and one that draws among others.
    [
        {"name": "repetition_penalty"},
        {"name": "temperature", "temperature": 1.4},
        {"name": "top_k", "k": 12},
        {"name": "min_p", "p": 0.05},
        {"name": "xtc", "threshold": 0.05},
    ],
    [
        {"name": "mirostat", "tau": 1.9},
        {"name": "xtc", "threshold": 0.1},
        {"name": "xtc", "threshold": 0.08, "probability": 0.7},
        {"name": "dry", "multiplier": 0.5},
    ],
]


@pytest.mark.parametrize("samplers", CHAINS, ids=str)
def test_draws_follow_the_distribution(samplers: Chain, tmp_path: Path) -> None:
    counts = draws(samplers, tmp_path)
    assert fit(counts, expected(samplers)) > 0.001
    if samplers:  # and would be seen not to, had the sampler done nothing
        assert fit(counts, expected([])) < 1e-9


def test_a_wrong_sampler_does_not_fit(tmp_path: Path) -> None:
    """Temperature applied twice, a cut one off, another chance: the same test tells."""
    right = {"name": "temperature", "temperature": 0.9}
    wrong = draws([{"name": "temperature", "temperature": 0.9**2}], tmp_path)
    assert fit(wrong, expected([right])) < 1e-9
    assert fit(draws([right], tmp_path), expected([right])) > 0.001
    near: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"name": "top_k", "k": 6}, {"name": "top_k", "k": 7}),
        ({"name": "top_k", "k": 7}, {"name": "top_k", "k": 6}),
        ({"name": "xtc", "probability": 0.5}, {"name": "xtc", "probability": 0.55}),
        ({"name": "presence_penalty"}, {"name": "frequency_penalty"}),
        ({"name": "dry"}, {"name": "dry", "multiplier": 1.0}),
    ]
    for one, other in near:
        assert fit(draws([one], tmp_path), expected([other])) < 1e-4


def test_the_exact_distributions_are_what_they_seem() -> None:
    """The reference's own numbers, by hand."""
    assert expected([{"name": "greedy"}])[6] == 1  # of two that are equal, the lower id
    by_hand = math.exp(2) / (math.exp(2) + 2)
    assert softmax([2.0, 0.0, 0.0])[0] == pytest.approx(by_hand)
    half = expected([{"name": "xtc", "threshold": 0.1, "probability": 0.5}])
    whole = expected([])
    assert half[6] == pytest.approx(whole[6] / 2)  # gone every other time
    assert half.sum() == pytest.approx(1)
