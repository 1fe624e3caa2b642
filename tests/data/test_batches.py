"""Batch plans, slices, padding and evaluation batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tp_core.data.batches import IGNORED, PaddedDataLoader, eval_batches, pad, split_evenly
from tp_core.data.dataset import TokenizedSplit

BOS, EOS, PAD = 1, 2, 0


def make(rows: list[list[int]], has_eos: list[bool] | None = None) -> TokenizedSplit:
    """A split whose line i has the tokens `rows[i]`, and as text the characters so numbered."""
    texts = ["".join(map(chr, row)).encode() for row in rows]
    closed = np.array([True] * len(rows) if has_eos is None else has_eos, np.bool_)
    return TokenizedSplit(
        tokens=np.array([token for row in rows for token in row], np.uint16),
        offsets=np.cumsum([0, *map(len, rows)]).astype(np.int64),
        has_eos=closed,
        bytes_=np.array([len(text) for text in texts], np.int64) + closed,
        numbers=np.arange(1, len(rows) + 1),
        utf8=np.frombuffer(b"".join(texts), np.uint8),
    )


def random_split(n: int, *, seed: int = 0) -> TokenizedSplit:
    rng = np.random.default_rng(seed)
    return make([rng.integers(100, 4000, rng.integers(1, 60)).tolist() for _ in range(n)])


def epoch(plan: PaddedDataLoader, number: int) -> list[list[int]]:
    first = number * plan.steps_per_epoch
    return [plan.lines_for(first + step).tolist() for step in range(plan.steps_per_epoch)]


@pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (5, 8), (64, 8), (65, 8), (1000, 3), (9, 9)])
def test_every_line_once_an_epoch(n: int, batch_size: int) -> None:
    plan = PaddedDataLoader(random_split(n), batch_size=batch_size, seed=3)
    assert plan.steps_per_epoch == -(-n // batch_size)
    for number in range(3):
        batches = epoch(plan, number)
        assert sorted(line for batch in batches for line in batch) == list(range(n))
        sizes = sorted(map(len, batches))
        assert sizes == sorted(
            [batch_size] * (n // batch_size) + [n % batch_size] * (n % batch_size > 0)
        )
    assert plan.lines_for(0).dtype == np.int64


def test_epochs() -> None:
    plan = PaddedDataLoader(random_split(25), batch_size=10, seed=0)
    assert [plan.epoch_of(step) for step in range(7)] == [0, 0, 0, 1, 1, 1, 2]


def test_any_step_without_the_ones_before() -> None:
    split = random_split(300)
    plan = PaddedDataLoader(split, batch_size=8, seed=1)
    steps = 3 * plan.steps_per_epoch
    straight = [plan.lines_for(step).tolist() for step in range(steps)]
    for step in (steps - 1, 0, 57, 58, 10):
        assert (
            PaddedDataLoader(split, batch_size=8, seed=1).lines_for(step).tolist() == straight[step]
        )
        assert plan.lines_for(step).tolist() == straight[step]


def test_order_depends_on_seed_and_epoch() -> None:
    split = random_split(300)
    plan = PaddedDataLoader(split, batch_size=8, seed=1)
    assert epoch(plan, 0) != epoch(plan, 1)
    assert epoch(plan, 0) != epoch(PaddedDataLoader(split, batch_size=8, seed=2), 0)


def test_lines_of_like_length_share_a_batch() -> None:
    split = random_split(4000)
    plan = PaddedDataLoader(split, batch_size=16, seed=0)
    spreads = []
    for step in range(plan.steps_per_epoch):
        lengths = split.lengths[plan.lines_for(step)]
        assert (np.diff(lengths) >= 0).all()  # so that slices of it are alike, too
        spreads.append(lengths.max() - lengths.min())
    assert np.mean(spreads) < 2  # of 59
    # The batches themselves are shuffled: no drift from short to long.
    means = [split.lengths[plan.lines_for(step)].mean() for step in range(plan.steps_per_epoch)]
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.3


def test_partners_change_between_epochs() -> None:
    # No two of one length: sorted all at once, lines would meet the same ones again and again.
    plan = PaddedDataLoader(make([[5] * length for length in range(1, 601)]), batch_size=2, seed=0)
    pairs = [
        {(a, b) for batch in epoch(plan, number) for a in batch for b in batch if a < b}
        for number in range(2)
    ]
    assert len(pairs[0] & pairs[1]) < 0.2 * len(pairs[0])


def test_the_short_batch_is_anywhere_and_of_any_length() -> None:
    split = random_split(203)
    plan = PaddedDataLoader(split, batch_size=10, seed=0)
    places, lengths = [], []
    for number in range(60):
        batches = epoch(plan, number)
        (place,) = [i for i, batch in enumerate(batches) if len(batch) < 10]
        places.append(place)
        lengths.extend(split.lengths[batches[place]].tolist())
    assert len(set(places)) > 10
    assert abs(np.mean(lengths) - split.lengths.mean()) < 4


@settings(deadline=None)
@given(n_lines=st.integers(0, 40), n=st.integers(1, 12))
def test_slices(n_lines: int, n: int) -> None:
    indices = np.arange(n_lines)
    parts = split_evenly(indices, n)
    assert len(parts) == min(n, n_lines)
    assert [line for part in parts for line in part.tolist()] == indices.tolist()
    sizes = [len(part) for part in parts]
    assert not sizes or (min(sizes) > 0 and max(sizes) - min(sizes) <= 1)


def test_padding() -> None:
    split = make([[10, 11], [20, 21, 22, 23], [30], [40, 41]], [True, True, True, False])
    padded = pad(split, np.array([2, 0, 3]), BOS, EOS, PAD)
    assert padded.inputs.tolist() == [[BOS, 30, PAD], [BOS, 10, 11], [BOS, 40, PAD]]
    assert padded.targets.tolist() == [[30, EOS, IGNORED], [10, 11, EOS], [40, 41, IGNORED]]
    assert padded.lengths.tolist() == [2, 3, 2]
    assert padded.n_targets == 7
    assert padded.n_bytes == (1 + 1) + (2 + 1) + 2
    assert {array.dtype.name for array in (padded.inputs, padded.targets, padded.lengths)} == {
        "int64"
    }


def test_padding_the_last_line_and_none() -> None:
    split = make([[10], [20, 21, 22]])
    assert pad(split, np.array([1, 0]), BOS, EOS, PAD).inputs.tolist() == [
        [BOS, 20, 21, 22],
        [BOS, 10, PAD, PAD],
    ]
    nothing = pad(split, np.array([], np.int64), BOS, EOS, PAD)
    assert nothing.inputs.shape == nothing.targets.shape == (0, 0)
    assert (nothing.n_targets, nothing.n_bytes) == (0, 0)


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.lists(st.integers(4, 900), min_size=1, max_size=9), st.booleans()), min_size=1
    ),
    data=st.data(),
)
def test_padding_against_a_plain_loop(
    rows: list[tuple[list[int], bool]], data: st.DataObject
) -> None:
    split = make([row for row, _ in rows], [end for _, end in rows])
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=6))
    padded = pad(split, np.array(chosen), BOS, EOS, PAD)
    wanted = []
    for row, end in (rows[index] for index in chosen):
        target = [*row, EOS] if end else row
        wanted.append(([BOS, *row][: len(target)], target))
    width = max(len(target) for _, target in wanted)
    for i, (row, target) in enumerate(wanted):
        assert padded.inputs[i].tolist() == row + [PAD] * (width - len(row))
        assert padded.targets[i].tolist() == target + [IGNORED] * (width - len(target))
        assert padded.lengths[i] == len(target)
    assert padded.inputs.shape == (len(chosen), width)
    assert padded.n_targets == (padded.targets != IGNORED).sum()


def test_evaluation_covers_everything_in_order_of_length() -> None:
    split = random_split(103)
    batches = eval_batches(split, 10, 1000)
    lines = np.concatenate(batches)
    assert sorted(lines.tolist()) == list(range(103))
    assert [len(batch) for batch in batches] == [10] * 10 + [3]
    assert (np.diff(split.lengths[lines]) >= 0).all()


def test_evaluation_chooses_by_text() -> None:
    split = random_split(500)
    chosen = {split.text(line) for batch in eval_batches(split, 7, 50) for line in batch}
    assert len(chosen) == 50
    again = {split.text(line) for batch in eval_batches(split, 16, 50) for line in batch}
    assert again == chosen

    # The same lines elsewhere in a larger file: what is chosen is chosen again, or crowded out.
    texts = [*random_split(50, seed=1).texts(), *reversed(split.texts())]
    grown = make([[ord(character) for character in text] for text in texts])
    later = {grown.text(line) for batch in eval_batches(grown, 7, 50) for line in batch}
    assert len(later) == 50
    assert len(chosen & later) > 35
    assert (later & set(split.texts())) <= chosen


def test_exactly_as_many_lines_as_allowed() -> None:
    split = random_split(20)
    assert sum(map(len, eval_batches(split, 8, 20))) == 20
    assert sum(map(len, eval_batches(split, 8, 19))) == 19
    assert eval_batches(make([]), 8, 19) == []
