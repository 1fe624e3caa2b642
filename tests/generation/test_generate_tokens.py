"""Decoding: what comes out is what one row alone, without a cache, would give."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import make_plan, phrases
from torch import Tensor, nn

from tp_core.config.plan import Plan
from tp_core.data.tokenizer import Tokenizer
from tp_core.errors import RunFailed
from tp_core.generation.generate import Continuation, generate
from tp_core.generation.sampler_chain import SamplerChain
from tp_core.generation.sampler_overrides import with_samplers
from tp_core.interfaces import SequenceInfo
from tp_core.model.decoder import Decoder

WINDOWED = {"name": "softmax", "window": 4, "n_kv_heads": 1}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(phrases(), model_type="unigram", vocab_size=300, seed=0)


@pytest.fixture(scope="module", params=["softmax", "windowed", "linear"])
def plan(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    attention = {"windowed": WINDOWED}.get(request.param, {"name": request.param})
    changes = {"model.attention": attention, "model.max_seq_len": 24, "sampling.samplers": []}
    return make_plan(tmp_path_factory.mktemp("plan"), changes)


def decoder(plan: Plan, tokenizer: Tokenizer) -> Decoder:
    """A model of strong opinions, which ends some rows soon and others never."""
    model = Decoder(plan, tokenizer.vocab_size)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
        # The end is a likely token; how likely, depends on the row.
        model.embedding.weight[tokenizer.eos_id] *= 2
    return model


@pytest.fixture(scope="module")
def model(plan: Plan, tokenizer: Tokenizer) -> Decoder:
    return decoder(plan, tokenizer)


def chain(plan: Plan, tokenizer: Tokenizer, *samplers: dict[str, Any]) -> SamplerChain:
    written = tuple(
        ",".join([s["name"], *(f"{k}={v}" for k, v in s.items() if k != "name")]) for s in samplers
    )
    return SamplerChain.of(with_samplers(plan, written), tokenizer)


def prompts_of(tokenizer: Tokenizer) -> list[list[int]]:
    """Of several lengths, two alike, one empty."""
    texts = ["the old fox", "", "moon", "the old fox", "café naïve 猫", "a quiet bird sings"]
    return [tokenizer.encode(text) for text in texts]


@torch.no_grad()
def logits_after(model: Decoder, tokens: Sequence[int]) -> Tensor:
    """fp32 [V], from a pass over everything, with no state."""
    seq = SequenceInfo.of_rows(torch.tensor([len(tokens)]), len(tokens))
    out: Tensor = model.eval()(torch.tensor([tokens]), seq)[0][0, -1]
    return out


def greedy(model: Decoder, tokenizer: Tokenizer, prompt: Sequence[int], n: int) -> Continuation:
    """The slow way."""
    tokens, new = [tokenizer.bos_id, *prompt], []
    while True:
        logits = logits_after(model, tokens)
        logits[[tokenizer.pad_id, tokenizer.bos_id, 3]] = -torch.inf
        best = int(logits.argmax())
        if best == tokenizer.eos_id:
            return Continuation(0, tuple(new), "end")
        new.append(best)
        tokens.append(best)
        if len(new) == n:
            return Continuation(0, tuple(new), "length")
        if len(tokens) > model.max_seq_len:
            return Continuation(0, tuple(new), "context")


@pytest.mark.parametrize("n", [1, 5, 100])
def test_greedy(n: int, plan: Plan, model: Decoder, tokenizer: Tokenizer) -> None:
    found = generate(
        model,
        chain(plan, tokenizer, {"name": "greedy"}),
        tokenizer,
        prompts_of(tokenizer),
        max_new_tokens=n,
        seed=0,
    )
    expected = [greedy(model, tokenizer, prompt, n) for prompt in prompts_of(tokenizer)]
    assert [(c.tokens, c.stopped) for c in found] == [(c.tokens, c.stopped) for c in expected]
    assert [c.row for c in found] == list(range(6))


def draw(
    plan: Plan, model: Decoder, tokenizer: Tokenizer, prompts: Sequence[Sequence[int]], **more: Any
) -> list[Continuation]:
    settings = {"max_new_tokens": 30, "seed": 3, **more}
    samplers = chain(plan, tokenizer, {"name": "temperature", "temperature": 1.5})
    return generate(model, samplers, tokenizer, prompts, **settings)


def test_why_rows_stop(plan: Plan, model: Decoder, tokenizer: Tokenizer) -> None:
    found = draw(plan, model, tokenizer, [[]] * 40)
    assert {c.stopped for c in found} == {"end", "context"}
    for c in found:
        # The start token and the new ones fill the context; the one more is drawn, and not read.
        assert len(c.tokens) == 24 if c.stopped == "context" else len(c.tokens) < 24
    short = draw(plan, model, tokenizer, [[]] * 40, max_new_tokens=5)
    assert {c.stopped for c in short} == {"end", "length"}
    for c, longer in zip(short, found, strict=True):
        assert c.tokens == longer.tokens[:5]
        assert len(c.tokens) == 5 or c.stopped == "end"
    never = {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, 3}
    assert not never & {token for c in found for token in c.tokens}


def test_a_row_draws_alone(plan: Plan, model: Decoder, tokenizer: Tokenizer) -> None:
    """Whoever is in the batch, however many there are, whoever finishes first."""
    prompts = prompts_of(tokenizer)
    together = draw(plan, model, tokenizer, prompts)
    for n in range(1, len(prompts)):
        assert draw(plan, model, tokenizer, prompts[:n]) == together[:n]
    assert len({len(c.tokens) for c in together}) > 2
    for row in range(len(prompts)):
        others: list[list[int]] = [[5] * 9, *([[]] * len(prompts))][: len(prompts)]
        others[row] = prompts[row]
        assert draw(plan, model, tokenizer, others)[row] == together[row]


def test_the_seed_decides(plan: Plan, model: Decoder, tokenizer: Tokenizer) -> None:
    a, b = (draw(plan, model, tokenizer, [[]] * 4) for _ in range(2))
    torch.manual_seed(99)
    assert a == b == draw(plan, model, tokenizer, [[]] * 4)
    assert a != draw(plan, model, tokenizer, [[]] * 4, seed=4)
    assert len({c.tokens for c in a}) == 4


def test_more_rows_than_are_decoded_together(
    plan: Plan, model: Decoder, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = prompts_of(tokenizer)
    together = draw(plan, model, tokenizer, prompts)
    monkeypatch.setattr("tp_core.generation.generate._ROWS", 2)
    assert draw(plan, model, tokenizer, prompts) == together


def test_finished_rows_cost_nothing(
    plan: Plan, model: Decoder, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[tuple[int, int]] = []
    forward = model.forward

    def counting(tokens: Tensor, *rest: Any) -> Any:
        rows.append((tokens.shape[0], tokens.shape[1]))
        return forward(tokens, *rest)

    monkeypatch.setattr(model, "forward", counting)
    prompts = prompts_of(tokenizer)
    found = draw(plan, model, tokenizer, prompts)
    width = 1 + max(map(len, prompts))
    assert rows[0] == (len(prompts) - 1, width)  # two prompts are alike, and read once
    # A row is read again for each token that another one follows: all but its last draw.
    draws = [len(c.tokens) + (c.stopped == "end") for c in found]
    expected = [sum(n > step for n in draws) for step in range(1, max(draws))]
    assert rows[1:] == [(n, 1) for n in expected]


def test_the_longest_prompt(plan: Plan, model: Decoder, tokenizer: Tokenizer) -> None:
    """One that fills the context has one token to come; a longer one has no place."""
    (full,) = draw(plan, model, tokenizer, [[5] * 23])
    assert full.stopped == "end" or (full.stopped == "context" and len(full.tokens) == 1)
    with pytest.raises(ValueError, match="too long"):
        draw(plan, model, tokenizer, [[], [5] * 24])


def test_tokens_are_told_as_they_come(plan: Plan, model: Decoder, tokenizer: Tokenizer) -> None:
    told: dict[int, list[int]] = {row: [] for row in range(6)}
    found = draw(
        plan,
        model,
        tokenizer,
        prompts_of(tokenizer),
        on_token=lambda row, token: told[row].append(token),
    )
    assert [tuple(tokens) for tokens in told.values()] == [c.tokens for c in found]


def test_a_model_in_training_drops_nothing_here(
    plan: Plan, model: Decoder, tokenizer: Tokenizer
) -> None:
    other = decoder(plan, tokenizer).train()
    for module in other.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    prompts = prompts_of(tokenizer)
    assert draw(plan, other, tokenizer, prompts) == draw(plan, model, tokenizer, prompts)
    assert other.training


def test_logits_that_are_not_finite(plan: Plan, tokenizer: Tokenizer) -> None:
    model = decoder(plan, tokenizer)
    with torch.no_grad():
        model.embedding.weight[7] = torch.inf
    with pytest.raises(RunFailed, match="not finite"):
        draw(plan, model, tokenizer, [[]])


def test_in_bf16(
    plan: Plan, model: Decoder, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model runs in autocast, the samplers don't."""

    def autocast() -> Any:
        return torch.autocast("cpu", dtype=torch.bfloat16)

    seen: list[tuple[str, bool]] = []

    def noting(name: str, call: Any) -> Any:
        def noted(*args: Any) -> Any:
            seen.append((name, torch.is_autocast_enabled("cpu")))
            return call(*args)

        return noted

    monkeypatch.setattr(model, "forward", noting("model", model.forward))
    monkeypatch.setattr(SamplerChain, "draw", noting("draw", SamplerChain.draw))
    found = draw(plan, model, tokenizer, prompts_of(tokenizer), autocast=autocast)
    assert set(seen) == {("model", True), ("draw", False)}
    assert draw(plan, model, tokenizer, prompts_of(tokenizer)[:3], autocast=autocast) == found[:3]


def test_draws_follow_the_distribution(plan: Plan, model: Decoder, tokenizer: Tokenizer) -> None:
    """Chi-square over the first token of many rows, against softmax in NumPy; the seed is fixed."""
    n = 20_000
    logits = logits_after(model, [tokenizer.bos_id]).double().numpy() / 3
    logits[[tokenizer.pad_id, tokenizer.bos_id, 3]] = -np.inf
    p = np.exp(logits - logits.max())
    p /= p.sum()
    samplers = chain(plan, tokenizer, {"name": "temperature", "temperature": 3})
    rows = np.arange(n)
    raw = logits_after(model, [tokenizer.bos_id]).expand(n, -1).clone()
    raw[:, [tokenizer.pad_id, tokenizer.bos_id, 3]] = -torch.inf
    history = torch.full((n, 1), tokenizer.bos_id)
    lengths = torch.ones(n, dtype=torch.int64)
    states = samplers.init_states(n, torch.device("cpu"))
    tokens = samplers.draw(raw, history, lengths, rows, states, 5).numpy()
    counts = np.bincount(tokens, minlength=len(p)).astype(float)
    assert counts[p == 0].sum() == 0
    # Rare tokens are put together, so that every cell expects at least ten.
    rare = (p * n < 10) & (p > 0)
    observed = np.append(counts[(p > 0) & ~rare], counts[rare].sum())
    expected = np.append(p[(p > 0) & ~rare], p[rare].sum()) * n
    cells = len(observed)
    statistic = float(((observed - expected) ** 2 / expected).sum())
    assert cells > 20
    # Four standard deviations of chi-square above its mean.
    assert statistic < cells - 1 + 4 * np.sqrt(2 * (cells - 1))
    first = [
        c.tokens[:1]
        for c in generate(model, samplers, tokenizer, [[]] * 50, max_new_tokens=1, seed=5)
    ]
    assert first == [(t,) if t != tokenizer.eos_id else () for t in tokens[:50]]


def test_a_least_length_counts_what_is_drawn(
    plan: Plan, model: Decoder, tokenizer: Tokenizer
) -> None:
    """From where each prompt ends, also once rows have left the batch."""
    prompts = prompts_of(tokenizer)
    free = draw(plan, model, tokenizer, prompts)
    assert min(len(c.tokens) for c in free if c.stopped == "end") < 5
    least = chain(plan, tokenizer, {"name": "min_new_tokens", "n": 5})
    found = generate(model, least, tokenizer, prompts, max_new_tokens=12, seed=7)
    assert all(len(c.tokens) >= 5 or c.stopped == "context" for c in found)
    assert any(c.stopped == "end" for c in found)


def test_what_ends_matches_its_pattern(plan: Plan, model: Decoder, tokenizer: Tokenizer) -> None:
    """Whatever the prompt; a character that has no piece is spelled in bytes."""
    prompts = prompts_of(tokenizer) * 4
    pattern = "( ?[a-f]+){2}猫[0-9]?"
    guided = chain(plan, tokenizer, {"name": "allowed_text", "pattern": pattern})
    found = generate(model, guided, tokenizer, prompts, max_new_tokens=22, seed=7)
    ended = [tokenizer.decode(c.tokens) for c in found if c.stopped == "end"]
    assert len(ended) > 4
    assert all(re.fullmatch(pattern, text) for text in ended)
