"""What is asked of metrics, and of which phrases."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tp_core.config.components import ResolvedComponent
from tp_core.errors import TpError
from tp_core.evaluation.metrics import labels
from tp_core.interfaces import Headline, MetricView
from tp_core.kernel.options import Spec
from tp_core.plain_data import at
from tp_core.report.assess import assess, numbers

VIEW = MetricView(
    samples=["aa", "b", "b", "cccc", "aa", "dd", "e", "ffffff", "g", "hh"],
    stops=["end"] * 10,
    texts={"train": [f"train {i}" for i in range(40)], "val": [f"v{i}" for i in range(30)]},
)


def resolved(name: str, **options: Any) -> Any:
    """As much of a `ResolvedComponent` as is looked at."""
    component = SimpleNamespace(target="tests.none:None")
    return SimpleNamespace(
        name=name,
        kind="metric",
        spec=Spec(name, options, "metric"),
        registered=SimpleNamespace(component=component),
    )


class Lengths:
    of_samples = True
    headline = (Headline("length.mean", "character", "neither"),)

    def compute(self, view: MetricView) -> dict[str, Any]:
        lengths = [len(text) for text in view.samples]
        return {"n": len(lengths), "length": {"mean": float(np.mean(lengths))}}

    def per_sample(self, view: MetricView) -> dict[str, NDArray[np.float64]]:
        return {"length.mean": np.array([float(len(text)) for text in view.samples])}


class Unique:
    of_samples = True
    headline = (Headline("rate", "share", "higher"),)

    def __init__(self) -> None:
        self.seen: list[MetricView] = []

    def compute(self, view: MetricView) -> dict[str, Any]:
        self.seen.append(view)
        return {"n": len(view.samples), "rate": len(set(view.samples)) / max(len(view.samples), 1)}


class OfModel:
    headline = (Headline("steps", "step", "neither"),)

    def compute(self, view: MetricView) -> dict[str, Any]:
        return {"steps": len(view.evaluations)}


def test_samples_stand_beside_as_many_real_phrases() -> None:
    [found] = assess([(resolved("lengths"), Lengths())], VIEW, seed=0)
    assert list(found.readings) == ["samples", "held_out", "training"]
    assert [one.n for one in found.readings.values()] == [10, 10, 10]
    means = {name: at(one.result, "length.mean") for name, one in found.readings.items()}
    assert means["samples"] == 2.2
    assert 2 <= means["held_out"] <= 3
    assert 7 <= means["training"] <= 8


def test_means_are_bootstrapped_and_the_rest_subsampled() -> None:
    lengths, unique = assess(
        [(resolved("lengths"), Lengths()), (resolved("unique"), Unique())], VIEW, seed=0
    )
    interval = lengths.readings["samples"].intervals["length.mean"]
    assert interval.method == "bootstrap"
    assert interval.low < 2.2 < interval.high
    rate = unique.readings["samples"].intervals["rate"]
    assert rate.method == "subsampling"
    assert rate.low < 0.8 < rate.high <= 1
    assert unique.readings["training"].intervals["rate"].high == 1
    assert set(unique.readings["samples"].intervals) == {"rate"}  # no interval of a count


def test_a_metric_of_means_alone_is_not_computed_again() -> None:
    calls = []

    class Counted(Lengths):
        def compute(self, view: MetricView) -> dict[str, Any]:
            calls.append(len(view.samples))
            return super().compute(view)

    assess([(resolved("lengths"), Counted())], VIEW, seed=0)
    assert calls == [10, 10, 10]


def test_subsets_keep_texts_and_stops() -> None:
    metric = Unique()
    assess([(resolved("unique"), metric)], VIEW, seed=0)
    assert {len(view.samples) for view in metric.seen} == {5, 10}
    assert all(len(view.stops) == len(view.samples) for view in metric.seen)
    assert all(view.texts is VIEW.texts for view in metric.seen)


def test_what_is_of_the_model_is_asked_once() -> None:
    [found] = assess([(resolved("of_model"), OfModel())], VIEW, seed=0)
    assert list(found.readings) == ["model"]
    assert found.readings["model"].result == {"steps": 0}


def test_the_same_seed_the_same_intervals() -> None:
    def once(seed: int) -> Any:
        [found] = assess([(resolved("lengths"), Lengths())], VIEW, seed)
        return [one.intervals for one in found.readings.values()]

    assert once(1) == once(1) != once(2)


def test_values_that_do_not_fit_are_refused() -> None:
    class Short(Lengths):
        def per_sample(self, view: MetricView) -> dict[str, NDArray[np.float64]]:
            return {"length.mean": np.zeros(3)}

    with pytest.raises(TpError, match=r"metric 'lengths': per_sample.* shape \(3,\)"):
        assess([(resolved("lengths"), Short())], VIEW, seed=0)


def test_labels() -> None:
    def of(*some: tuple[str, dict[str, Any]]) -> list[str]:
        found: list[ResolvedComponent] = [resolved(name, **options) for name, options in some]
        return labels(found)

    assert of(("a", {"n": 1}), ("b", {})) == ["a", "b"]
    assert of(("a", {"n": 1, "k": 2}), ("a", {"n": 3, "k": 2})) == ["a,n=1", "a,n=3"]
    assert of(("a", {"on": True, "to": "x"}), ("a", {"on": False, "to": "y"})) == [
        "a,on=true,to=x",
        "a,on=false,to=y",
    ]
    assert of(("a", {"n": 1}), ("a", {"n": 1})) == ["a", "a"]


def test_two_of_one_name_both_have_results() -> None:
    pair = [(resolved("unique", n=1), Unique()), (resolved("unique", n=2), Unique())]
    assert [one.label for one in assess(pair, VIEW, 0)] == ["unique,n=1", "unique,n=2"]
    same = [(resolved("unique", n=1), Unique()), (resolved("unique", n=1), Unique())]
    assert [one.label for one in assess(same, VIEW, 0)] == ["unique"]


def test_numbers_and_lookup() -> None:
    result = {"a": {"b": 0.5, "n": 3}, "c": None, "d": 1.0, "e": "x", "f": True}
    assert numbers(result) == {"a.b": 0.5, "d": 1.0}
    assert at(result, "a.b") == 0.5
    assert [at(result, key) for key in ("a.x", "a.b.c", "z")] == [None] * 3
