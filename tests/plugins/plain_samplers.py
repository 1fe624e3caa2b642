"""The built-in samplers once more, in the plainest way: one row, one token at a time, from the
definitions they are published with. Logits are lists of floats; −inf is a removed token."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

INF = math.inf


@dataclass
class Row:
    """What a sampler may know of a row: its tokens, those of them that were drawn, and for mirostat
    what it drew them from."""

    tokens: list[int] = field(default_factory=lambda: [1])
    drawn: list[int] = field(default_factory=list)
    mu: float | None = None
    uniform: float = 0.0


def softmax(logits: Sequence[float]) -> list[float]:
    top = max(logits)
    weights = [math.exp(x - top) for x in logits]
    total = math.fsum(weights)
    return [w / total for w in weights]


def ranked(logits: Sequence[float]) -> list[int]:
    """Ids of the tokens that are there, the most likely first; of equal ones the lowest."""
    there = [i for i, x in enumerate(logits) if x > -INF]
    return sorted(there, key=lambda i: (-logits[i], i))


def keep(logits: Sequence[float], ids: Sequence[int]) -> list[float]:
    return [x if i in set(ids) else -INF for i, x in enumerate(logits)]


def up_to_mass(order: Sequence[int], logits: Sequence[float], p: float) -> list[int]:
    """The first of `order` that together have mass p."""
    share, kept, mass = softmax(logits), [], 0.0
    for i in order:
        if mass >= p:
            break
        kept.append(i)
        mass += share[i]
    return kept


def greedy(logits: list[float], row: Row) -> list[float]:
    return keep(logits, ranked(logits)[:1])


def temperature(logits: list[float], row: Row, temperature: float = 1.0) -> list[float]:
    return [x / temperature for x in logits] if temperature else greedy(logits, row)


def top_k(logits: list[float], row: Row, k: int = 50) -> list[float]:
    return keep(logits, ranked(logits)[:k])


def top_p(logits: list[float], row: Row, p: float = 0.9) -> list[float]:
    return logits if p == 1 else keep(logits, up_to_mass(ranked(logits), logits, p))


def min_p(logits: list[float], row: Row, p: float = 0.1) -> list[float]:
    share = softmax(logits)
    return [x if s >= p * max(share) else -INF for x, s in zip(logits, share, strict=True)]


def typical(logits: list[float], row: Row, p: float = 0.95) -> list[float]:
    if p == 1:
        return logits
    share = softmax(logits)
    surprise = {i: -math.log(share[i]) for i in ranked(logits) if share[i] > 0}
    entropy = math.fsum(share[i] * s for i, s in surprise.items())
    order = sorted(surprise, key=lambda i: (abs(surprise[i] - entropy), i))
    return keep(logits, up_to_mass(order, logits, p))


def top_n_sigma(logits: list[float], row: Row, n: float = 1.0) -> list[float]:
    there = [x for x in logits if x > -INF]
    mean = math.fsum(there) / len(there)
    sigma = math.sqrt(math.fsum((x - mean) ** 2 for x in there) / len(there))
    return [x if x >= max(there) - n * sigma else -INF for x in logits]


def mirostat(logits: list[float], row: Row, tau: float = 3.0, eta: float = 0.1) -> list[float]:
    mu = 2 * tau if row.mu is None else row.mu
    surprise = surprises(logits)
    kept = [i for i in ranked(logits) if surprise[i] <= mu]
    return keep(logits, kept or ranked(logits)[:1])


def surprises(logits: Sequence[float]) -> list[float]:
    """In bits."""
    top = max(logits)
    total = math.log(math.fsum(math.exp(x - top) for x in logits))
    return [(top + total - x) / math.log(2) for x in logits]


def mirostat_mu(mu: float, logits: list[float], token: int, tau: float, eta: float) -> float:
    """μ after a token was drawn."""
    return mu - eta * (surprises(logits)[token] - tau)


def xtc(
    logits: list[float], row: Row, threshold: float = 0.1, probability: float = 0.5
) -> list[float]:
    share = softmax(logits)
    top = [i for i in ranked(logits) if share[i] >= threshold]
    if row.uniform >= probability:
        return logits
    return [-INF if i in top[:-1] else x for i, x in enumerate(logits)]


def repetition_penalty(logits: list[float], row: Row, penalty: float = 1.2) -> list[float]:
    changed = list(logits)
    for token in set(row.tokens):
        x = logits[token]
        changed[token] = x / penalty if x > 0 else x * penalty
    return changed


def frequency_penalty(logits: list[float], row: Row, penalty: float = 0.5) -> list[float]:
    return [x - penalty * row.drawn.count(i) for i, x in enumerate(logits)]


def presence_penalty(logits: list[float], row: Row, penalty: float = 0.5) -> list[float]:
    return [x - penalty * (i in row.drawn) for i, x in enumerate(logits)]


def dry(
    logits: list[float],
    row: Row,
    multiplier: float = 0.8,
    base: float = 1.75,
    allowed_length: int = 2,
) -> list[float]:
    tokens = row.tokens
    longest: dict[int, int] = {}
    for at in range(1, len(tokens)):
        length = 0
        while length < at and tokens[at - 1 - length] == tokens[-1 - length]:
            length += 1
        longest[tokens[at]] = max(length, longest.get(tokens[at], 0))
    changed = list(logits)
    for token, length in longest.items():
        if length >= allowed_length:
            changed[token] -= multiplier * base ** (length - allowed_length)
    return changed


def no_repeat_ngram(logits: list[float], row: Row, n: int = 3) -> list[float]:
    tokens = tuple(row.tokens)
    seen = {tokens[at : at + n] for at in range(len(tokens) - n + 1)}
    end = tokens[len(tokens) - n + 1 :]
    if len(end) < n - 1:
        return logits
    left = [-INF if (*end, i) in seen else x for i, x in enumerate(logits)]
    return left if max(left) > -INF else logits


PLAIN: dict[str, Callable[..., list[float]]] = {
    f.__name__: f
    for f in (
        *(greedy, temperature, top_k, top_p, min_p, typical, top_n_sigma, mirostat, xtc),
        *(repetition_penalty, frequency_penalty, presence_penalty, dry, no_repeat_ngram),
    )
}


def plain(sampler: dict[str, Any], logits: list[float], row: Row) -> list[float]:
    """What a sampler, written as in a config, makes of a row."""
    options = {key: value for key, value in sampler.items() if key != "name"}
    return PLAIN[sampler["name"]](logits, row, **options)
