"""Metrics of memorisation against plain ways to compute the same, nltk, scipy and by hand."""

from __future__ import annotations

import math
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_views import PHRASES, compute, metric, split_losses
from nltk import FreqDist, ngrams
from nltk.probability import SimpleGoodTuringProbDist
from scipy.special import logsumexp

from tp_core.interfaces.metrics import MetricView

FEW = st.lists(st.text("ab π漢😀\n", max_size=12), max_size=6)
PROSE = PHRASES.read_text(encoding="utf-8").split("\n")[:-1]


def test_exact_copies_compare_the_whole_text() -> None:
    samples = ["a b", "a  b", "a b ", "A b", "c", "c", "x", ""]
    texts = {"train": ["a b", " x"], "val": ["c"]}
    result = compute("exact_copies", samples=samples, texts=texts)
    assert result == {"samples": 8, "train": 1 / 8, "val": 2 / 8}


def test_train_mass_by_hand() -> None:
    texts = {"train": ["x", "y", "x", "z"], "val": ["v"]}
    p = {"train": [0.2, 0.05, 0.1], "val": [0.01]}
    distinct = {name: split_losses([-math.log(q) for q in row]) for name, row in p.items()}
    result = compute("train_mass", texts=texts, distinct=distinct)
    assert result["train"]["mass"] == pytest.approx(0.35)
    assert result["val"]["mass"] == pytest.approx(0.01)
    assert result["ratio"] == pytest.approx((0.35 / 3) / 0.01)
    assert [(one["text"], one["count"]) for one in result["likeliest"]] == [
        ("x", 2),
        ("z", 1),
        ("y", 1),
    ]
    assert [one["probability"] for one in result["likeliest"]] == pytest.approx([0.2, 0.1, 0.05])


def test_train_mass_against_scipy_where_no_float_holds_it() -> None:
    rng = np.random.default_rng(0)
    train, val = rng.uniform(700, 900, 500), rng.uniform(800, 2000, 70)
    distinct = {"train": split_losses(list(train)), "val": split_losses(list(val))}
    texts = {"train": [str(i) for i in range(500)], "val": [str(-i) for i in range(1, 71)]}
    result = compute("train_mass", texts=texts, distinct=distinct)
    means = logsumexp(-train) - math.log(500), logsumexp(-val) - math.log(70)
    assert result["train"]["log_mean"] == pytest.approx(means[0], rel=1e-12)
    assert result["log_ratio"] == pytest.approx(means[0] - means[1], rel=1e-9)
    assert len(result["likeliest"]) == 10
    assert [one["nll"] for one in result["likeliest"]] == sorted(train)[:10]
    assert result["likeliest"][0]["text"] == str(int(train.argmin()))
    far = {"train": split_losses([1.0]), "val": split_losses([5000.0])}
    assert compute("train_mass", texts=texts, distinct=far)["ratio"] is None


def naive_novelty(samples: list[str], train: list[str], n: int) -> list[float]:
    known = {run for text in train for run in ngrams(text.split(), n)}
    runs = [list(ngrams(text.split(), n)) for text in samples]
    return [np.mean([run not in known for run in own]) if own else np.nan for own in runs]


@pytest.mark.parametrize("n", range(1, 9))
def test_novelty_against_sets_of_nltk_ngrams(n: int) -> None:
    train, samples = PROSE[:2000], PROSE[2000:2100] + PROSE[:20] + ["the of and to", "zzz", "", "a"]
    cut = [" ".join(text.split()[1:-1]) for text in PROSE[20:60]]
    mixed = [f"{a} {b}" for a, b in zip(cut[::2], cut[1::2], strict=True)]
    samples += cut + mixed
    view = MetricView(samples=samples, texts={"train": train, "val": []})
    values = metric("novelty").per_sample(view)[f"novel.{n}"]
    assert values == pytest.approx(naive_novelty(samples, train, n), nan_ok=True, abs=1e-15)


@settings(deadline=None, max_examples=50)
@given(train=FEW, samples=FEW)
def test_novelty_of_anything(train: list[str], samples: list[str]) -> None:
    values = metric("novelty").per_sample(MetricView(samples=samples, texts={"train": train}))
    for n in range(1, 9):
        expected = naive_novelty(samples, train, n) if train else [np.nan] * len(samples)
        assert values[f"novel.{n}"] == pytest.approx(expected, nan_ok=True, abs=1e-15)


def naive_longest(sample: str, train: list[str]) -> int:
    """The longest common substring with any of them, by the usual table of suffix lengths."""
    best = 0
    for text in train:
        previous = [0] * (len(text) + 1)
        for a in sample:
            row = [0] + [previous[j] + 1 if a == b else 0 for j, b in enumerate(text)]
            best, previous = max(best, *row), row
    return best


@settings(deadline=None, max_examples=100)
@given(train=FEW.filter(bool), samples=FEW)
def test_longest_copy_of_anything(train: list[str], samples: list[str]) -> None:
    train = [text.replace("\n", "") for text in train]  # it ends a phrase, so none has it
    view = MetricView(samples=samples, texts={"train": train})
    values = metric("longest_copy").per_sample(view)
    expected = [naive_longest(text, train) for text in samples]
    assert values["characters"].tolist() == expected
    shares = [n / len(t) if t else np.nan for n, t in zip(expected, samples, strict=True)]
    assert values["share"] == pytest.approx(shares, nan_ok=True)


def test_longest_copy_in_real_phrases() -> None:
    train, samples = PROSE[:150], [*PROSE[150:165], PROSE[3], PROSE[4][5:30] + "X" + PROSE[5][3:]]
    made = metric("longest_copy")
    view = MetricView(samples=samples, texts={"train": train})
    assert made.per_sample(view)["characters"].tolist() == [
        naive_longest(t, train) for t in samples
    ]
    longest = made.compute(view)["longest"]
    assert longest["text"] in longest["sample"]
    assert longest["text"] in longest["phrase"]
    assert longest["sample"] in samples
    assert longest["phrase"] in train
    assert len(longest["text"]) == max(naive_longest(text, train) for text in samples)


def test_longest_copy_keeps_within_a_phrase_and_whole_characters() -> None:
    # é and è share a first byte; a stretch over the end of a phrase is no copy.
    result = compute("longest_copy", samples=["cdé", "abcd"], texts={"train": ["ab", "cdè", "b"]})
    assert result["characters"] == 2
    assert result["longest"] == {"text": "ab", "sample": "abcd", "phrase": "ab"}
    nothing = compute("longest_copy", samples=["xyz"], texts={"train": ["ab"]})
    assert nothing == {"characters": 0, "share": 0, "longest": None}


def test_good_turing_against_nltk() -> None:
    rng = np.random.default_rng(2)
    for n in (20, 200, 1000):
        samples = [f"phrase {i}" for i in rng.zipf(1.6, n)]
        counts = FreqDist(samples)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimate = SimpleGoodTuringProbDist(counts, bins=counts.B() + 1)
        result = compute("good_turing", samples=samples)
        assert result["missing_mass"] == pytest.approx(estimate.prob("never seen"), rel=1e-12)


def test_good_turing_by_hand_and_what_it_estimates() -> None:
    result = compute("good_turing", samples=["a", "a", "b", "c", "c", "d"])
    assert result == {"samples": 6, "distinct": 4, "singletons": 2, "missing_mass": 2 / 6}
    # A hundred equally likely texts: the mass of those not seen is known.
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(200):
        samples = [str(i) for i in rng.integers(0, 100, 120)]
        missing = 1 - len(Counter(samples)) / 100
        errors.append(compute("good_turing", samples=samples)["missing_mass"] - missing)
    assert abs(np.mean(errors)) < 0.01
