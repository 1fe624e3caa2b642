"""Schedules against those of transformers and torch.

Theirs rise from 0, so that nothing is learned in the first step; those here rise from
1/(warmup + 1). Apart from that they agree: factor(s) with a warmup of w is transformers' at s + 1
with one of w + 1, on the rise and on the way down.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tp_core.assembly.builder import Builder
from tp_core.config.plan import load_plan
from tp_core.errors import ConfigError

DEFAULT = Path(__file__).parents[2] / "configs" / "default.toml"
LENGTHS = [(40, 0), (40, 7), (41, 39), (3, 0), (1, 0), (1000, 100)]
TOLERANCE = 1e-12


def factors(schedule: str, max_steps: int) -> list[float]:
    """The factor of every step of a training, as it gets them."""
    plan = load_plan(DEFAULT, [f"train.schedule={schedule}", f"train.max_steps={max_steps}"])
    built = Builder(plan, 32).build(plan.schedule, "schedule")
    return [built.factor(step, max_steps) for step in range(max_steps)]


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def rates(scheduler: Any, n: int) -> list[float]:
    """The learning rate of the first `n` steps under one of torch's schedulers."""
    found = []
    for _ in range(n):
        found.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    return found


def assert_close(ours: list[float], theirs: list[float]) -> None:
    assert len(ours) == len(theirs)
    assert all(abs(a - b) < TOLERANCE for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("max_steps", "warmup"), LENGTHS)
def test_constant_is_transformers(max_steps: int, warmup: int) -> None:
    theirs = transformers.get_constant_schedule_with_warmup(optimizer(), warmup + 1)
    ours = factors(f"{{name='constant', warmup={warmup}}}", max_steps)
    assert_close(ours, rates(theirs, max_steps + 1)[1:])


@pytest.mark.parametrize(("max_steps", "warmup"), LENGTHS)
def test_linear_is_transformers(max_steps: int, warmup: int) -> None:
    theirs = transformers.get_linear_schedule_with_warmup(optimizer(), warmup + 1, max_steps)
    ours = factors(f"{{name='linear', warmup={warmup}}}", max_steps)
    assert_close(ours[:-1], rates(theirs, max_steps + 1)[1:-1])
    # They end at 0 after the last step, and there is no such step where all are warmup.
    assert ours[-1] == (0.0 if max_steps - 1 > warmup else 1.0)


@pytest.mark.parametrize(("max_steps", "warmup"), LENGTHS)
def test_cosine_is_transformers(max_steps: int, warmup: int) -> None:
    theirs = transformers.get_cosine_schedule_with_warmup(optimizer(), warmup + 1, max_steps)
    ours = factors(f"{{name='cosine', warmup={warmup}, floor=0.0}}", max_steps)
    assert_close(ours[:-1], rates(theirs, max_steps + 1)[1:-1])
    assert ours[-1] == (0.0 if max_steps - 1 > warmup else 1.0)


@pytest.mark.parametrize("floor", [0.0, 0.25, 1.0])
def test_floors_are_torchs(floor: float) -> None:
    """torch has no warmup in these; `eta_min` and `end_factor` are floors."""
    n = 30
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer(), n - 1, eta_min=floor)
    assert_close(factors(f"{{name='cosine', warmup=0, floor={floor}}}", n), rates(cosine, n))
    linear = torch.optim.lr_scheduler.LinearLR(optimizer(), 1.0, floor, total_iters=n - 1)
    assert_close(factors(f"{{name='linear', floor={floor}}}", n), rates(linear, n))


@pytest.mark.parametrize("floor", [0.0, 0.3])
@pytest.mark.parametrize(("shape", "named"), [("linear",) * 2, ("cosine",) * 2, ("sqrt", "1-sqrt")])
@pytest.mark.parametrize(
    ("max_steps", "warmup", "decay", "decaying"),
    [(40, 0, 0.1, 4), (40, 7, 0.5, 20), (100, 3, 0.96, 96), (2, 0, 0.1, 1), (3, 1, 0.1, 1)],
)
def test_wsd_is_transformers(
    max_steps: int, warmup: int, decay: float, decaying: int, shape: str, named: str, floor: float
) -> None:
    theirs = transformers.get_wsd_schedule(
        optimizer(),
        num_warmup_steps=warmup + 1,
        num_decay_steps=decaying,
        num_training_steps=max_steps,
        decay_type=named,
        min_lr_ratio=floor,
    )
    written = f"{{name='wsd', warmup={warmup}, decay={decay}, shape='{shape}', floor={floor}}}"
    ours = factors(written, max_steps)
    # With a floor, transformers' rise starts there and not at 0.
    first = warmup if floor else 0
    assert_close(ours[first:], rates(theirs, max_steps + 1)[first + 1 :])
    assert_close(ours[:first], [(n + 1) / (warmup + 1) for n in range(first)])
    assert ours[-1] == pytest.approx(floor, abs=TOLERANCE)


@pytest.mark.parametrize(("max_steps", "warmup"), LENGTHS)
def test_inverse_sqrt_is_transformers(max_steps: int, warmup: int) -> None:
    theirs = transformers.get_inverse_sqrt_schedule(optimizer(), warmup + 1)
    ours = factors(f"{{name='inverse_sqrt', warmup={warmup}}}", max_steps)
    assert_close(ours, rates(theirs, max_steps + 1)[1:])


def test_inverse_sqrt_is_vaswanis() -> None:
    d_model, warmup = 512, 4000
    ours = factors(f"{{name='inverse_sqrt', warmup={warmup - 1}}}", 20_000)
    peak = d_model**-0.5 * warmup**-0.5
    theirs = [d_model**-0.5 * min(n**-0.5, n * warmup**-1.5) / peak for n in range(1, 20_001)]
    assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("{name='linear', warmup=10}", "warmup = 10 must be smaller than max_steps = 10"),
        ("{name='inverse_sqrt', warmup=10}", "warmup = 10 must be smaller than max_steps = 10"),
        ("{name='wsd', warmup=9}", "warmup = 9 and the 1 decay steps must leave at least one step"),
        (
            "{name='wsd', decay=0.97}",
            "warmup = 0 and the 10 decay steps must leave at least one step",
        ),
        ("{name='wsd', decay=1.0}", "decay"),
    ],
)
def test_refusals(schedule: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        factors(schedule, 10)
    assert said in str(refused.value)
