"""What holds for every metric: strict JSON of anything, and values of samples that add up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from metric_views import NAMES, full_view, metric

from tp_core.interfaces.metrics import Headline, MetricView, SplitLosses

FULL = full_view()
NOTHING = SplitLosses(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))
BROKEN = SplitLosses(np.array([np.nan, np.inf]), np.array([1, 2]), np.array([3, 4]))
LACKING = {
    "everything": MetricView(),
    "samples": replace(FULL, samples=[], stops=[]),
    "stops": replace(FULL, stops=[]),
    "texts": replace(FULL, texts={}),
    "phrases": replace(FULL, texts={"train": [], "val": []}),
    "training phrases": replace(FULL, texts={"train": [], "val": ["a b"]}),
    "validation phrases": replace(FULL, texts={"train": ["a b"], "val": []}),
    "scores": replace(FULL, losses={}),
    "lines": replace(FULL, losses={"train": NOTHING, "val": NOTHING}),
    "token_losses": replace(
        FULL, losses={name: replace(s, token_losses=None) for name, s in FULL.losses.items()}
    ),
    "distinct": replace(FULL, distinct={}),
    "distinct phrases": replace(FULL, distinct={"train": NOTHING, "val": NOTHING}),
    "evaluations": replace(FULL, evaluations=[]),
    "finite scores": replace(
        FULL, losses={"train": BROKEN, "val": BROKEN}, distinct={"train": BROKEN, "val": BROKEN}
    ),
    "words": replace(FULL, samples=["", " \t", "\n"], stops=["end"] * 3),
    "all but one sample": replace(FULL, samples=["a"], stops=["end"]),
    "validation evaluations": replace(
        FULL, evaluations=[{"split": "train", "step": 1, "loss": 2.0}]
    ),
    "finite losses": replace(
        FULL, evaluations=[{"split": "val", "step": 1, "loss": None}, {"split": "val"}]
    ),
}


def at(result: dict[str, Any], key: str) -> Any:
    value: Any = result
    for part in key.split("."):
        value = value[part]
    return value


def test_there_are_these_many() -> None:
    assert len(NAMES) == len(set(NAMES)) == 19


@pytest.mark.parametrize("name", NAMES)
def test_headlines_are_numbers_where_there_is_everything(name: str) -> None:
    made = metric(name)
    result = made.compute(FULL)
    assert made.headline
    for headline in made.headline:
        assert isinstance(headline, Headline)
        value = at(result, headline.key)
        assert isinstance(value, (int, float)), headline.key
        assert not isinstance(value, bool), headline.key
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("lacking", LACKING)
@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_view_lacks_the_result_is_json_with_every_headline(
    name: str, lacking: str
) -> None:
    made, view = metric(name), LACKING[lacking]
    result = made.compute(view)
    json.dumps(result, allow_nan=False)
    for headline in made.headline:
        value = at(result, headline.key)
        assert value is None or isinstance(value, (int, float)), headline.key


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_samples_makes_no_difference(name: str) -> None:
    samples, stops = [*FULL.samples, "a dogma"], [*FULL.stops, "length"]
    view = replace(FULL, samples=samples, stops=stops)
    backwards = replace(FULL, samples=samples[::-1], stops=stops[::-1])
    text = [json.dumps(metric(name).compute(one)) for one in (view, backwards)]
    one, other = (json.loads(t, parse_float=lambda digits: round(float(digits), 12)) for t in text)
    assert one == other


@pytest.mark.parametrize("lacking", ["nothing", *LACKING])
@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(metric(name), "per_sample")])
def test_results_are_the_means_of_what_holds_for_each_sample(name: str, lacking: str) -> None:
    view = LACKING.get(lacking, FULL)
    made = metric(name)
    assert made.of_samples
    result = made.compute(view)
    for key, values in made.per_sample(view).items():
        assert values.dtype == np.float64
        assert values.shape == (len(view.samples),)
        counted = values[~np.isnan(values)]
        expected = float(counted.mean()) if len(counted) else None
        assert at(result, key) == (None if expected is None else pytest.approx(expected, abs=1e-15))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_of_one_text_says_nothing_about_another(name: str) -> None:
    other = replace(FULL, texts={"train": ["a dog sat", "zebra"], "val": ["the"] * 4})
    used = metric(name)
    for view in (FULL, other, replace(FULL, samples=FULL.samples[:3], stops=FULL.stops[:3]), FULL):
        assert used.compute(view) == metric(name).compute(view)


@pytest.mark.parametrize("name", NAMES)
def test_metrics_of_samples_are_those_that_change_with_them(name: str) -> None:
    made = metric(name)
    other = replace(FULL, samples=["the the the", "the the the"], stops=["context"] * 2)
    changes = made.compute(FULL) != made.compute(other)
    assert changes == getattr(made, "of_samples", False)
