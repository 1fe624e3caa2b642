"""Lines packed into rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_batches import BOS, EOS, PAD, make, random_split

from tp_core.data.batches import IGNORED
from tp_core.data.packed import PackedDataLoader, best_fit, pack


def epoch(plan: PackedDataLoader, number: int) -> list[list[list[int]]]:
    """The lines of each row of each step."""
    first = number * plan.steps_per_epoch
    steps = range(first, first + plan.steps_per_epoch)
    return [[row.tolist() for row in plan.rows_for(step)] for step in steps]


def plan_of(n: int, *, batch_size: int = 4, seed: int = 1, width: int = 64) -> PackedDataLoader:
    return PackedDataLoader(random_split(n), batch_size=batch_size, seed=seed, width=width)


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 20), max_size=60), extra=st.integers(0, 30))
def test_best_fit_against_a_search_for_the_fullest_row(lengths: list[int], extra: int) -> None:
    width = max(lengths, default=1) + extra
    rows = best_fit(np.array(lengths, np.int64), width)
    left: list[int] = []
    for length in lengths:
        fitting = [room for room in left if room >= length]
        if fitting:
            left[left.index(min(fitting))] -= length
        else:
            left.append(width - length)
    fills = np.bincount(rows, lengths).astype(int) if lengths else np.array([], int)
    assert sorted(width - fills) == sorted(left)


def test_falling_lengths_fill_rows() -> None:
    lengths = np.sort(np.random.default_rng(0).integers(1, 50, 3000))[::-1]
    assert lengths.sum() / (100 * (best_fit(lengths, 100).max() + 1)) > 0.995


def test_a_line_that_fits_no_row() -> None:
    with pytest.raises(ValueError, match="a line of 5 tokens doesn't fit a row of 4"):
        best_fit(np.array([3, 5, 1]), 4)


@pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (1, 5), (40, 3), (200, 8), (1000, 1)])
def test_every_line_once_an_epoch_in_rows_that_hold_it(n: int, batch_size: int) -> None:
    split = random_split(n)
    plan = PackedDataLoader(split, batch_size=batch_size, seed=3, width=64)
    assert plan.steps_per_epoch == -(-plan.n_rows // batch_size)
    for number in range(3):
        steps = epoch(plan, number)
        assert sorted(line for rows in steps for row in rows for line in row) == list(range(n))
        assert all(0 < split.lengths[row].sum() <= 64 for rows in steps for row in rows)
        full, rest = divmod(plan.n_rows, batch_size)
        assert sorted(map(len, steps)) == sorted([batch_size] * full + [rest] * (rest > 0))
    assert plan.epoch_of(plan.steps_per_epoch) == 1


def test_any_step_without_the_ones_before() -> None:
    plan = plan_of(300)
    straight = [plan.rows_for(step) for step in range(3 * plan.steps_per_epoch)]
    for step in (len(straight) - 1, 0, 57, 20, 58):
        for again in (plan.rows_for(step), plan_of(300).rows_for(step)):
            assert [row.tolist() for row in again] == [row.tolist() for row in straight[step]]


def test_order_depends_on_seed_and_epoch() -> None:
    plan = plan_of(300)
    assert epoch(plan, 0) != epoch(plan, 1)
    assert epoch(plan, 0) != epoch(plan_of(300, seed=2), 0)


def test_neighbours_and_order_change_between_epochs() -> None:
    plan = plan_of(3000)
    pairs, firsts = [], []
    for number in range(2):
        rows = [row for step in epoch(plan, number) for row in step]
        pairs.append({(a, b) for row in rows for a in row for b in row if a < b})
        firsts.append([row[0] for row in rows])
    assert len(pairs[0] & pairs[1]) < 0.1 * len(pairs[0])
    # Long lines are packed first, and must not be learned first.
    lengths = random_split(3000).lengths
    assert abs(np.corrcoef(np.arange(plan.n_rows), lengths[firsts[0]])[0, 1]) < 0.15


def test_the_short_batch_is_anywhere() -> None:
    plan = plan_of(203, batch_size=10)
    assert plan.n_rows % 10
    places = {
        next(i for i, rows in enumerate(epoch(plan, number)) if len(rows) < 10)
        for number in range(60)
    }
    assert len(places) == plan.steps_per_epoch


@pytest.mark.parametrize("n", [1, 3, 4, 9])
def test_slices(n: int) -> None:
    split = random_split(200)
    plan = PackedDataLoader(split, batch_size=4, seed=1, width=64)
    rows, parts = plan.rows_for(2), plan.micro_batches(2, n)
    assert len(parts) == min(n, 4)
    (whole,) = plan.micro_batches(2, 1)
    for name in ("inputs", "targets", "positions", "documents"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert np.array_equal(joined, getattr(whole, name))
    assert sum(part.n_targets for part in parts) == sum(split.lengths[row].sum() for row in rows)


def test_a_row() -> None:
    split = make([[10, 11], [20, 21, 22], [30], [40, 41]], [True, True, True, False])
    packed = pack(split, [np.array([0, 3]), np.array([1])], 7)
    assert packed.inputs.tolist() == [
        [BOS, 10, 11, BOS, 40, PAD, PAD],
        [BOS, 20, 21, 22, PAD, PAD, PAD],
    ]
    assert packed.targets.tolist() == [
        [10, 11, EOS, 40, 41, IGNORED, IGNORED],
        [20, 21, 22, EOS, IGNORED, IGNORED, IGNORED],
    ]
    assert packed.positions.tolist() == [[0, 1, 2, 0, 1, -1, -1], [0, 1, 2, 3, -1, -1, -1]]
    assert packed.documents.tolist() == [[0, 0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1, 1]]
    assert packed.n_targets == 9
    assert packed.n_bytes == (2 + 1) + 2 + (3 + 1)


@settings(deadline=None)
@given(
    rows=st.lists(
        st.lists(
            st.tuples(st.lists(st.integers(4, 900), min_size=1, max_size=9), st.booleans()),
            min_size=1,
            max_size=4,
        ),
        min_size=1,
        max_size=5,
    ),
    extra=st.integers(0, 5),
)
def test_packing_against_a_plain_loop(rows: list[list[tuple[list[int], bool]]], extra: int) -> None:
    lines = [line for row in rows for line in row]
    split = make([tokens for tokens, _ in lines], [end for _, end in lines])
    numbers = iter(range(len(lines)))
    chosen = [np.array([next(numbers) for _ in row]) for row in rows]
    width = max(sum(len(tokens) + end for tokens, end in row) for row in rows) + extra
    packed = pack(split, chosen, width)
    for i, row in enumerate(rows):
        places = [
            (token, target, position, document)
            for document, (tokens, end) in enumerate(row)
            for position, (token, target) in enumerate(
                zip([BOS, *tokens], [*tokens, EOS] if end else tokens, strict=False)
            )
        ]
        places += [(PAD, IGNORED, -1, len(row))] * (width - len(places))
        found = (packed.inputs, packed.targets, packed.positions, packed.documents)
        assert list(zip(*(array[i].tolist() for array in found), strict=True)) == places
    assert packed.n_targets == (packed.targets != IGNORED).sum()
