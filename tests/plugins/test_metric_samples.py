"""Metrics of samples against nltk, sacrebleu, scipy, zlib and what is computed by hand."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_views import PHRASES, compute, metric
from nltk import ngrams
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from sacrebleu.metrics import BLEU
from scipy.stats import wasserstein_distance

from tp_core.evaluation.char_ngram import CharNgram
from tp_core.interfaces.metrics import MetricView
from tp_plugins.metrics.self_bleu import bleu_of_each

PROSE = PHRASES.read_text(encoding="utf-8").split("\n")[:-1]
REPEATING = st.lists(st.lists(st.sampled_from("abc"), max_size=9).map(" ".join), max_size=7)


def others(samples: list[str], index: int) -> list[list[str]]:
    return [text.split() for text in samples[:index] + samples[index + 1 :]]


def nltk_bleu(samples: list[str]) -> list[float]:
    smoothing = SmoothingFunction().method1
    return [
        float(sentence_bleu(others(samples, i), text.split(), smoothing_function=smoothing))
        for i, text in enumerate(samples)
    ]


def test_self_bleu_of_real_phrases_is_nltks() -> None:
    samples = PROSE[:60] + PROSE[:3] + ["the the the the the", "the", "", "of the", "a b c d e f"]
    expected = nltk_bleu(samples)
    assert bleu_of_each(samples) == pytest.approx(expected, abs=1e-12)
    result = compute("self_bleu", samples=samples)
    assert result["self_bleu"] == pytest.approx(np.mean(expected), abs=1e-12)
    assert 0.05 < result["self_bleu"] < 0.5


@settings(deadline=None, max_examples=150)
@given(samples=REPEATING.filter(lambda texts: len(texts) > 1))
def test_self_bleu_of_anything_is_nltks(samples: list[str]) -> None:
    assert bleu_of_each(samples) == pytest.approx(nltk_bleu(samples), abs=1e-12)


def test_self_bleu_of_four_words_and_more_is_sacrebleus() -> None:
    samples = [text for text in PROSE[:80] if len(text.split()) >= 4]
    bleu = BLEU(smooth_method="floor", smooth_value=0.1, tokenize="none", effective_order=False)
    expected = [
        bleu.sentence_score(text, samples[:i] + samples[i + 1 :]).score / 100
        for i, text in enumerate(samples)
    ]
    assert bleu_of_each(samples) == pytest.approx(expected, abs=1e-9)


def test_self_bleu_by_hand() -> None:
    assert compute("self_bleu", samples=["a b c d", "a b c d"])["self_bleu"] == pytest.approx(1)
    assert compute("self_bleu", samples=["a b c d", "e f g h"])["self_bleu"] == 0
    # a b c x: 3/4, 2/3, 1/2 and 0.1/1, with nothing off for length, both ways round.
    expected = (3 / 4 * 2 / 3 * 1 / 2 * 0.1) ** (1 / 4)
    assert compute("self_bleu", samples=["a b c d", "a b c x"])["self_bleu"] == pytest.approx(
        expected
    )
    assert compute("self_bleu", samples=["a b"])["self_bleu"] is None


def test_distinct_is_counted_on_nltks_ngrams() -> None:
    samples = [*PROSE[:100], "a a a a", "b", ""]
    result = compute("distinct", samples=samples)
    for n in (1, 2, 3):
        runs = [run for text in samples for run in ngrams(text.split(), n)]
        assert result[f"distinct_{n}"] == len(set(runs)) / len(runs)
    by_hand = compute("distinct", samples=["a b a", "a b", "c"])
    assert by_hand == {"distinct_1": 3 / 6, "distinct_2": 2 / 3, "distinct_3": 1.0}


def test_repetition_is_one_minus_different_over_all() -> None:
    samples = ["a b a b a b", "a b c", "x", ""]
    result = compute("repetition", samples=samples)
    assert result["seq_rep_1"] == pytest.approx((4 / 6 + 0 + 0) / 3)
    assert result["seq_rep_2"] == pytest.approx((1 - 2 / 5 + 0) / 2)
    assert result["seq_rep_4"] == pytest.approx(1 - 2 / 3)
    real = metric("repetition").per_sample(MetricView(samples=PROSE[:50]))
    for n in (1, 2, 3, 4):
        runs = [list(ngrams(text.split(), n)) for text in PROSE[:50]]
        expected = [1 - len(set(own)) / len(own) if own else np.nan for own in runs]
        assert real[f"seq_rep_{n}"] == pytest.approx(expected, nan_ok=True)


def test_unique_rate_and_compression_by_hand() -> None:
    assert compute("unique_rate", samples=["a", "b", "a", "A"])["unique_rate"] == 3 / 4
    samples = ["same again", "naïve π", "same again"]
    data = "naïve π\nsame again\nsame again\n".encode()
    stream = zlib.compressobj(level=9)
    small = stream.compress(data) + stream.flush()
    result = compute("compression", samples=samples)
    assert result == {"bytes": len(data), "compression_ratio": len(data) / len(small)}
    assert compute("compression", samples=["ab"] * 99)["compression_ratio"] > 10


def test_out_of_vocabulary_by_hand() -> None:
    samples = ["the cat sta", "sta The", "", "the"]
    texts = {"train": ["the cat sat", "on a  mat"], "val": ["sta"]}
    result = compute("oov", samples=samples, texts=texts)
    assert result["oov_rate"] == pytest.approx((1 / 3 + 2 / 2 + 0) / 3)
    assert result["examples"] == ["sta", "The"]


@settings(deadline=None, max_examples=100)
@given(
    ours=st.lists(st.integers(0, 12), min_size=1, max_size=9),
    theirs=st.lists(st.integers(0, 12), min_size=1, max_size=9),
)
def test_length_distance_is_scipys(ours: list[int], theirs: list[int]) -> None:
    result = compute(
        "length_distance",
        samples=["π" * n for n in ours],
        texts={"val": ["x" * n for n in theirs]},
    )
    assert result["wasserstein"] == pytest.approx(wasserstein_distance(ours, theirs), abs=1e-12)


def test_length_distance_of_real_phrases() -> None:
    samples, val = PROSE[:200], [text[:40] for text in PROSE[200:1200]]
    result = compute("length_distance", samples=samples, texts={"val": val})
    lengths = [len(text) for text in samples], [len(text) for text in val]
    assert result["wasserstein"] == pytest.approx(wasserstein_distance(*lengths), rel=1e-12)
    assert result["mean_characters"] == np.mean(lengths[0])


def test_endings_by_hand() -> None:
    result = compute(
        "endings",
        samples=["a", " ", "b", "c", ""],
        stops=["end", "end", "length", "context", "end"],
    )
    assert result == {
        "samples": 5,
        "end_rate": pytest.approx(3 / 5),
        "truncated_rate": pytest.approx(2 / 5),
        "empty_rate": pytest.approx(2 / 5),
    }


def test_char_ngram_is_the_baseline_of_each_sample_alone() -> None:
    train, samples = PROSE[:500], [*PROSE[500:520], "", "zq漢", "e"]
    reference = CharNgram(5).fit(train)
    expected = [float(reference.bits([text]).mean()) for text in samples]
    view = MetricView(samples=samples, texts={"train": train})
    values = metric("char_ngram").per_sample(view)["bits_per_character"]
    assert values == pytest.approx(expected, rel=1e-12)
    result = compute("char_ngram", samples=samples, texts={"train": train})
    assert result["perplexity"] == pytest.approx(math.exp(math.log(2) * np.mean(expected)))
    letters = compute("char_ngram", samples=["xqzj vvkw"], texts={"train": train})
    assert letters["perplexity"] > 3 * result["perplexity"]
