"""The chain of samplers: each against NumPy, the order they stand in, and the draw at the end."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_runs import make_plan
from torch import Tensor

from tp_core.generation.sampler_chain import SamplerChain

V = 12


@pytest.fixture
def draw(tmp_path: Path) -> Any:
    def with_chain(samplers: list[Any], logits: Tensor, seed: int = 1) -> NDArray[np.int64]:
        chain = SamplerChain(make_plan(tmp_path, {"sampling.samplers": samplers}), V)
        n = len(logits)
        states = chain.init_states(n, torch.device("cpu"))
        history, lengths = torch.zeros(n, 4, dtype=torch.int64), torch.ones(n, dtype=torch.int64)
        tokens = chain.draw(logits.clone(), history, lengths, np.arange(n), states, seed)
        return tokens.numpy()

    return with_chain


def uniform(n: int, seed: int = 1, position: int = 1) -> NDArray[np.float64]:
    """The numbers the draw is made from, one per row: the documented hash, written again."""
    text = "\x1f".join([str(seed), "sample"]).encode()
    key = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1
    mask = 2**64 - 1

    def mix(x: int) -> int:
        z = (x + 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    values = []
    for row in range(n):
        state = key
        for counter in (row, position, 0, 0):
            state = mix(state ^ mix((counter + 0x9E3779B97F4A7C15) & mask))
        values.append((state >> 11) * 2.0**-53)
    return np.array(values)


def inverse(logits: NDArray[np.float64], u: NDArray[np.float64]) -> NDArray[np.int64]:
    """The token each uniform falls on, by running sums over ids."""
    tokens = []
    for row, x in zip(logits, u, strict=True):
        p = np.exp(row - row.max())
        sums = np.cumsum(p / p.sum())
        tokens.append(min(i for i in range(len(sums)) if x < sums[i]))
    return np.array(tokens)


def np_temperature(row: NDArray[np.float64], t: float) -> NDArray[np.float64]:
    if t == 0:
        return np.where(np.arange(len(row)) == row.argmax(), 0.0, -np.inf)
    return row / t


def np_top_k(row: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    keep = sorted(range(len(row)), key=lambda i: (-row[i], i))[:k]
    return np.where(np.isin(np.arange(len(row)), keep), row, -np.inf)


def np_top_p(row: NDArray[np.float64], p: float) -> NDArray[np.float64]:
    share = np.exp(row - row.max())
    share /= share.sum()
    keep, mass = [], 0.0
    for i in sorted(range(len(row)), key=lambda i: (-row[i], i)):
        if mass >= p:
            break
        keep.append(i)
        mass += share[i]
    return np.where(np.isin(np.arange(len(row)), keep), row, -np.inf)


NUMPY = {
    "temperature": lambda row, o: np_temperature(row, o["temperature"]),
    "top_k": lambda row, o: np_top_k(row, o["k"]),
    "top_p": lambda row, o: np_top_p(row, o["p"]),
    "greedy": lambda row, o: np_temperature(row, 0),
}
T7 = {"name": "temperature", "temperature": 0.7}
K3, P6 = {"name": "top_k", "k": 3}, {"name": "top_p", "p": 0.6}
CHAINS = [
    [],
    [T7],
    [{"name": "temperature", "temperature": 0}],
    [K3],
    [{"name": "top_k", "k": 99}],
    [{"name": "top_k", "k": 1}],
    [P6],
    [{"name": "top_p", "p": 1}],
    [{"name": "top_p", "p": 1e-9}],
    ["greedy"],
    [T7, K3, P6],
    [P6, K3, T7],
    [{"name": "temperature", "temperature": 5.0}, P6],
    [P6, {"name": "temperature", "temperature": 5.0}],
]


def rows(ties: bool) -> Tensor:
    generator = torch.Generator().manual_seed(8)
    logits = 2 * torch.randn(400, V, generator=generator)
    if ties:
        logits = logits.round()
    logits[:, 0] = -torch.inf  # as the model's never-tokens are
    return logits


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("samplers", CHAINS, ids=str)
def test_against_numpy(samplers: list[Any], ties: bool, draw: Any) -> None:
    logits = rows(ties)
    expected = logits.double().numpy()
    for sampler in samplers:
        options = sampler if isinstance(sampler, dict) else {"name": sampler}
        expected = np.stack([NUMPY[options["name"]](row, options) for row in expected])
    found = draw(samplers, logits)
    assert np.array_equal(found, inverse(expected, uniform(len(logits))))


def test_of_equally_likely_tokens_the_lowest_ids_stay(draw: Any) -> None:
    logits = torch.full((500, V), -1.0)
    logits[:, [2, 5, 6, 9]] = 3.0
    assert set(draw([{"name": "top_k", "k": 2}], logits)) == {2, 5}
    assert set(draw([{"name": "top_p", "p": 0.5}], logits)) == {2, 5, 6}  # of .2465 each
    assert set(draw([{"name": "temperature", "temperature": 0}], logits)) == {2}
    logits = torch.where(logits < 0, -torch.inf, 0.0)
    assert set(draw([{"name": "top_p", "p": 0.5}], logits)) == {2, 5}  # exactly one half
    assert set(draw(["greedy"], logits)) == {2}


def test_a_very_small_temperature_is_greedy(draw: Any) -> None:
    logits = rows(ties=False)
    small = draw([{"name": "temperature", "temperature": 1e-30}], logits)
    assert np.array_equal(small, logits.argmax(-1).numpy())


def test_the_order_of_the_chain_matters(draw: Any) -> None:
    hot = {"name": "temperature", "temperature": 5.0}
    logits = rows(ties=False)
    assert not np.array_equal(draw([hot, P6], logits), draw([P6, hot], logits))


def test_the_ends_of_the_interval(draw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.full((2, V), -torch.inf)
    logits[:, 4:7] = torch.tensor([0.1, 0.2, 0.3])
    for uniform, token in ((0.0, 4), (1 - 2**-53, 6)):
        value = np.full((2, 1), uniform)
        monkeypatch.setattr(
            "tp_core.generation.sampler_chain.counter_uniform", lambda *_, value=value: value
        )
        assert set(draw([], logits)) == {token}


def test_a_draw_never_lands_on_what_was_removed(draw: Any) -> None:
    logits = torch.full((3000, V), -torch.inf)
    logits[:, 4] = 0.0
    logits[:, 7] = -30.0
    assert set(draw([], logits)) <= {4, 7}
    logits[:, 7] = -torch.inf
    assert set(draw([], logits)) == {4}
