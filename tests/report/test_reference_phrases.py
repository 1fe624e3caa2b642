"""The phrases that samples are held against, and which samples are phrases."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tp_core.interfaces import MetricView
from tp_core.report.reference_phrases import drawn, marks, references, remarks

VIEW = MetricView(
    samples=["a", "b", "zz", "a"],
    stops=["end", "length", "context", "end"],
    texts={"train": ["a", "t1", "t2", "t3", "t4", "t1"], "val": ["b", "v1"]},
)


def test_as_many_phrases_each_ended_by_itself() -> None:
    found = references(VIEW, seed=3)
    assert len(found["training"].samples) == 4
    assert sorted(found["held_out"].samples) == ["b", "v1"]
    assert [set(one.stops) for one in found.values()] == [{"end"}, {"end"}]
    assert [len(one.stops) for one in found.values()] == [2, 4]
    for one in found.values():
        assert one.texts is VIEW.texts  # so that what was built from them is still good


def test_they_are_the_seeds() -> None:
    texts = [str(i) for i in range(500)]
    view = MetricView(samples=["x"] * 20, stops=["end"] * 20, texts={"train": texts})
    one, same, other = (references(view, seed)["training"].samples for seed in (1, 1, 2))
    assert one == same != other


def test_drawn_without_replacement() -> None:
    texts = ["a", "a", "b", "c"]
    assert Counter(drawn(texts, 4, np.random.default_rng(0))) == Counter(texts)
    assert drawn([], 4, np.random.default_rng(0)) == []
    counts = Counter(
        text for seed in range(400) for text in drawn(texts, 2, np.random.default_rng(seed))
    )
    assert abs(counts["a"] - 400) < 60  # half of all, duplicates being as likely as they are
    assert abs(counts["b"] - 200) < 60


def test_marks() -> None:
    assert marks(VIEW.samples, VIEW) == ["train", "val", "new", "train"]
    assert marks(["a "], VIEW) == ["new"]
    assert marks(["a"], MetricView()) == ["new"]


def test_too_few_phrases_are_said() -> None:
    [remark] = remarks(VIEW, whole=True)
    assert "only 2 held-out phrases for 4 samples" in remark
