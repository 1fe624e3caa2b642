"""Metrics of likelihood against scipy, zlib and what is computed by hand."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
from metric_views import PHRASES, compute, full_view, split_losses, token_scores
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from tp_core.evaluation.char_ngram import CharNgram
from tp_core.interfaces.metrics import SplitLosses

GRID = 2.0 ** (np.arange(-16, 17) / 8)


def test_likelihood_by_hand() -> None:
    train = SplitLosses(np.array([1.0, 3.0]), np.array([2, 3]), np.array([4, 6]))
    val = SplitLosses(np.array([6.0]), np.array([4]), np.array([8]))
    result = compute("likelihood", losses={"train": train, "val": val})
    bits = 4 / (math.log(2) * 10), 6 / (math.log(2) * 8)
    assert result["train"] == pytest.approx(
        {"lines": 2, "loss": 4 / 5, "perplexity": math.exp(0.8), "bits_per_byte": bits[0]}
    )
    assert result["generalisation_gap"] == pytest.approx(bits[1] - bits[0])
    hopeless = split_losses([1e6])
    assert compute("likelihood", losses={"val": hopeless})["val"]["perplexity"] is None


def lines(losses: dict[int, tuple[float | None, float | None]]) -> list[dict[str, object]]:
    return [
        {"step": step, "split": split, "loss": loss, "bits_per_byte": loss and loss / 2}
        for step, pair in losses.items()
        for split, loss in zip(("train", "val"), pair, strict=True)
    ]


def test_best_step_by_hand() -> None:
    result = compute(
        "best_step",
        evaluations=[
            {"step": 5, "split": "batch", "loss": 0.1, "bits_per_byte": 0.1},
            *lines({0: (6, 6), 10: (4, 4.5), 20: (3, 4.5), 30: (2, 5), 40: (1, None)}),
        ],
    )
    assert (result["best_step"], result["last_step"], result["steps_since"]) == (10, 30, 20)
    assert result["evaluations"] == 4
    assert result["best"] == {
        "train": {"loss": 4, "bits_per_byte": 2},
        "val": {"loss": 4.5, "bits_per_byte": 2.25},
    }
    assert result["rise"] == {"train": -1.0, "val": 0.25}


def test_a_step_evaluated_again_counts_as_it_last_was() -> None:
    result = compute(
        "best_step", evaluations=[*lines({10: (1, 1)}), *lines({5: (4, 4), 10: (5, 5)})]
    )
    assert result["best_step"] == 5


def test_loss_by_position_by_hand() -> None:
    tokens = token_scores(
        nll=[1, 2, 3, 5, 0.5], position=[0, 1, 3, 0, 1], end=[False, False, True, False, True]
    )
    result = compute("loss_by_position", losses={"val": split_losses([6, 5.5], tokens)})
    assert result["by_position"] == [
        {"position": 0, "tokens": 2, "loss": 3.0},
        {"position": 1, "tokens": 2, "loss": 1.25},
        {"position": 3, "tokens": 1, "loss": 3.0},
    ]
    assert result["end"] == {"tokens": 2, "loss": 1.75}
    assert result["inside"] == {"tokens": 3, "loss": pytest.approx(8 / 3)}


@pytest.mark.parametrize("sharpness", [0.6, 1.0, 1.7])
def test_optimal_temperature_is_scipys_on_real_logits(sharpness: float) -> None:
    rng = np.random.default_rng(3)
    honest = rng.normal(0, 2, (4000, 30))
    cumulated = np.exp(honest - logsumexp(honest, 1, keepdims=True)).cumsum(1)
    targets = np.minimum((rng.random((4000, 1)) > cumulated).sum(1), 29)
    logits = honest * sharpness

    def nll(temperature: float) -> float:
        z = logits / temperature
        return float((logsumexp(z, 1) - z[np.arange(len(z)), targets]).sum())

    tokens = token_scores(nll=[0.0], temperatures=GRID, totals=[nll(t) for t in GRID])
    result = compute("calibration", losses={"val": split_losses([1.0], tokens)})
    best = minimize_scalar(nll, bounds=(0.25, 4), method="bounded", options={"xatol": 1e-10})
    # The loss is no parabola: between neighbours 9 % apart, it misses by a fiftieth of that.
    assert result["optimal_temperature"] == pytest.approx(best.x, rel=2e-3)
    assert result["at_edge"] is False


def test_optimal_temperature_of_a_parabola_is_its_vertex() -> None:
    for vertex in (0.3, 0.77, 1.0, 2.9):
        totals = 5 + 2 * (np.log(GRID) - math.log(vertex)) ** 2
        order = np.random.default_rng(0).permutation(len(GRID))
        tokens = token_scores(nll=[1], temperatures=GRID[order], totals=totals[order])
        result = compute("calibration", losses={"val": split_losses([1.0], tokens)})
        assert result["optimal_temperature"] == pytest.approx(vertex, rel=1e-9)


@pytest.mark.parametrize(("totals", "best"), [([1, 2, 3], 0.5), ([3, 2, 1], 2), ([2, 2, 2], 0.5)])
def test_optimal_temperature_at_the_edge_says_so(totals: list[float], best: float) -> None:
    tokens = token_scores(nll=[1], temperatures=[0.5, 1, 2], totals=totals)
    result = compute("calibration", losses={"val": split_losses([1.0], tokens)})
    assert result["optimal_temperature"] == pytest.approx(best)
    assert result["at_edge"] is True


def naive_ece(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Equation 3 of Guo et al., a bin at a time."""
    total = 0.0
    for m in range(1, 16):
        inside = (confidence > (m - 1) / 15) & (confidence <= m / 15)
        if inside.any():
            total += inside.sum() * abs(correct[inside].mean() - confidence[inside].mean())
    return total / len(confidence)


def test_expected_calibration_error_against_the_formula() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.random(5000).astype(np.float32)
    correct = rng.random(5000) < confidence**1.5
    tokens = token_scores(confidence=confidence, correct=correct)
    result = compute("calibration", losses={"val": split_losses([1.0], tokens)})
    expected = naive_ece(confidence.astype(np.float64), correct)
    assert 0.05 < expected < 0.2
    assert result["expected_calibration_error"] == pytest.approx(expected, rel=1e-12)
    assert sum(one["tokens"] for one in result["bins"]) == 5000
    assert len(result["bins"]) == 15


def test_expected_calibration_error_by_hand() -> None:
    # Two bins: (1/15, 2/15] with 0.1 and 0.13, of which one is right; the last one, with 1.0 twice.
    tokens = token_scores(confidence=[0.1, 0.13, 1.0, 1.0], correct=[True, False, True, True])
    result = compute("calibration", losses={"val": split_losses([1.0], tokens)})
    assert result["expected_calibration_error"] == pytest.approx(0.5 * (0.5 - 0.115), rel=1e-6)
    # An upper edge belongs to its bin, in the precision confidences come in.
    edges = token_scores(confidence=np.arange(1, 16, dtype=np.float32) / np.float32(15))
    bins = compute("calibration", losses={"val": split_losses([1.0], edges)})["bins"]
    assert [one["tokens"] for one in bins] == [1] * 15


def test_baselines_on_real_phrases() -> None:
    phrases = PHRASES.read_text(encoding="utf-8").split("\n")[:-1]
    train, val = phrases[:2500], phrases[2500:]
    result = compute("baselines", texts={"train": train, "val": val})
    assert result["lines"] == len(val)
    for name, order in (("character_unigram", 1), ("character_5gram", 5)):
        expected = CharNgram(order).fit(train).bits_per_byte(val)
        assert result[name]["bits_per_byte"] == pytest.approx(expected, rel=1e-12)
    five_gram, primed, unigram = (
        result[name]["bits_per_byte"] for name in ("character_5gram", "zlib", "character_unigram")
    )
    assert 2 < five_gram < primed < unigram
    data = text(val)
    assert primed < 0.95 * 8 * len(zlib.compress(data, 9)) / len(data)


def text(phrases: list[str]) -> bytes:
    return "".join(f"{phrase}\n" for phrase in phrases).encode()


def test_zlib_is_primed_with_the_training_text() -> None:
    # All of it fits the window, so it is the dictionary as it stands.
    train, val = ["the quick brown fox", "naïve π"], ["a quick fox", "naïve", "漢字"]
    stream = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=text(train))
    data = stream.compress(text(val)) + stream.flush()
    assert zlib.decompressobj(-15, zdict=text(train)).decompress(data) == text(val)
    result = compute("baselines", texts={"train": train, "val": val})
    assert result["zlib"]["bits_per_byte"] == pytest.approx(8 * len(data) / len(text(val)))
    # Of longer text, the dictionary is spread over all of it: the very first and last recur.
    many = [f"{word} {i * i * 7919}" for word in ("zebra crossing", "lemon") for i in range(5000)]
    both = compute("baselines", texts={"train": many, "val": ["zebra crossing", "lemon"]})
    assert both["zlib"]["bits_per_byte"] < 4


def test_no_baseline_of_a_view_without_text() -> None:
    view = full_view()
    result = compute("baselines", losses=view.losses, texts={"val": ["a"]})
    assert result["zlib"] == {"bits_per_byte": None}
