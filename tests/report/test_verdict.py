"""The rules of the verdict on made-up evidence: what each needs, and which goes first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tp_core.report.verdict import Evidence, Point, judge, points


def curve(*val: float, train: tuple[float, ...] | None = None) -> tuple[Point, ...]:
    trains = train or tuple(4.0 - 0.3 * i for i in range(len(val)))
    return tuple(Point(100 * i, t, v) for i, (t, v) in enumerate(zip(trains, val, strict=True)))


GOOD = Evidence(
    step=400,
    train=2.0,
    val=2.2,
    unigram=3.6,
    ngram=2.3,
    curve=curve(4.8, 3.0, 2.5, 2.25, 2.2),
    distinct_samples=200,
    copies={"train": 0, "val": 0},
    phrases={"train": 2700, "val": 300},
    mass={"train": 1e-14, "val": 1e-21},
)
RISING = curve(4.8, 3.0, 2.4, 2.7, 3.2)


def label(**changes: Any) -> str:
    return judge(replace(GOOD, **changes)).label


def test_a_good_run() -> None:
    verdict = judge(GOOD)
    assert verdict.label == "generalises"
    assert verdict.text.startswith("generalises: 2.200 bits/byte on validation phrases, 2.000")
    assert verdict.from_step is None
    assert "\n" not in verdict.text
    assert any("+9 %" in reason for reason in verdict.reasons)


def test_untrained_is_no_better_than_frequencies_on_anything() -> None:
    assert label(val=3.6, train=3.7) == "untrained"
    assert label(val=3.59, train=3.59, curve=curve(4.8, 3.59)) == "underfit"
    # It does badly on what it hasn't seen because it knows the rest by heart.
    assert label(val=5.5, train=0.3, curve=RISING) == "overfits"


def test_overfits_from_the_best_step() -> None:
    verdict = judge(replace(GOOD, curve=RISING, step=200))
    assert (verdict.label, verdict.from_step) == ("overfits", 200)
    assert "from step 200" in verdict.text
    assert "before the rise" in verdict.text
    assert "before the rise" not in judge(replace(GOOD, curve=RISING)).text


@pytest.mark.parametrize(
    ("val", "train", "wanted"),
    [
        ((4.8, 2.2, 2.25), (4.8, 2.1, 1.8), "overfits"),  # 2.3 % up
        ((4.8, 2.2, 2.23), (4.8, 2.1, 1.8), "generalises"),  # 1.4 %: within what it moves anyway
        ((4.8, 2.2, 2.6), (4.8, 2.1, 2.4), "generalises"),  # training rose as well: a spike
        ((4.8, 2.2, 2.6, 2.21), (4.8, 2.1, 1.9, 1.7), "generalises"),  # it came back
        ((2.2,), (2.0,), "generalises"),  # one evaluation says nothing of a curve
        ((), (), "generalises"),
    ],
)
def test_a_rise(val: tuple[float, ...], train: tuple[float, ...], wanted: str) -> None:
    assert label(curve=curve(*val, train=train)) == wanted


def test_underfit_is_worse_than_counting_with_room_left() -> None:
    flat = curve(4.8, 3.2, 3.05, 3.01, 3.0)
    assert label(val=3.0, train=2.95, curve=flat) == "underfit"
    assert label(val=2.2, train=2.19) == "generalises"  # better than counting
    assert label(val=2.4, train=2.39) == "generalises"  # as good as counting, all but 4 %
    assert label(val=3.0, train=2.4, curve=flat) == "generalises"  # no room without harm
    falling = curve(4.8, 4.2, 3.8, 3.4, 3.0)
    assert label(val=3.0, train=2.4, curve=falling) == "underfit"
    assert "still fell by 12 %" in judge(replace(GOOD, val=3.0, train=2.4, curve=falling)).text


def test_far_evaluations_say_nothing_of_the_last_quarter() -> None:
    ends = (Point(0, 4.8, 4.8), Point(400, 2.4, 3.0))
    assert label(val=3.0, train=2.4, curve=ends) == "generalises"


def test_memorises_by_mass() -> None:
    heavy = {"train": 0.4, "val": 1e-9}
    assert label(mass=heavy) == "memorises"
    assert label(mass=heavy, curve=RISING) == "memorises"  # goes before
    assert label(mass={"train": 0.09, "val": 1e-9}) == "generalises"
    # A language of few sentences: held-out ones are as likely, each for itself.
    assert label(mass={"train": 0.5, "val": 0.05}) == "generalises"


def test_memorises_by_copies_of_which_too_few_are_held_out() -> None:
    copied = {"train": 80, "val": 0}
    assert label(copies=copied) == "memorises"
    assert label(copies=copied, mass=None) == "memorises"
    assert label(copies={"train": 80, "val": 8}) == "generalises"  # as their numbers would have it
    assert label(copies={"train": 20, "val": 0}) == "generalises"  # one in ten, but not for sure
    # All of two different samples, of a greedy chain: that proves nothing.
    assert label(copies={"train": 2, "val": 0}, distinct_samples=2) == "generalises"
    assert label(distinct_samples=0) == "generalises"


def test_points_are_the_lines_of_both_splits() -> None:
    lines: list[dict[str, Any]] = [
        {"step": 0, "split": "train", "bits_per_byte": 5.0},
        {"step": 0, "split": "val", "bits_per_byte": 5.1},
        {"step": 5, "split": "batch", "bits_per_byte": 4.0},
        {"step": 10, "split": "val", "bits_per_byte": 4.1},
        {"step": 20, "split": "val", "bits_per_byte": 3.1},
        {"step": 20, "split": "train", "bits_per_byte": 3.0},
        {"step": None, "split": "train", "bits_per_byte": 3.0},
        {"step": 30, "split": "val"},
    ]
    assert points(lines) == (Point(0, 5.0, 5.1), Point(20, 3.0, 3.1))
