"""What a callback hears of a training: events, in the order in which they happen.

A callback is any object with some of these methods; it declares those it wants:

- `on_start(event)`: before the first step, and again when a run is resumed;
- `on_step(event)`: after each optimizer step;
- `on_evaluation(event)`, `on_checkpoint(event)`: after an evaluation, after a checkpoint is saved;
- `on_end(event)`: when a training that was started ends, however it does;
- `should_stop()`: asked after each step, and after the evaluation that may follow it; a reason
  (text) stops the training there, with an evaluation, samples and a checkpoint as at its last step;
- `state_dict()`, `load_state_dict(state)`: what it keeps from step to step, as tensors, numbers,
  text, None, lists and dicts of these. It is saved in each checkpoint, so that a resumed run goes
  on as if it had never stopped.

Class attributes say what it is allowed to do:

- `acts = True`: it may change what the training computes or when it ends (early stopping, averaged
  weights). It is called in the training's own thread, and what it raises ends the training.
- `acts = False`, the default: it only watches. Each call runs under a guard: what it raises, or a
  call that takes longer than `GUARD_SECONDS`, is said once, and the training goes on without it.
  Hooks that it registers with the model are called by the training itself, unguarded.
- `reads_model = True`: `on_start` hands it a `TrainingAccess`; acting callbacks always get one.
- `files`: names of the files it writes into the run's directory. Two callbacks can't share one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

EVENTS = ("on_start", "on_step", "on_evaluation", "on_checkpoint", "on_end")
GUARD_SECONDS = 30.0


@dataclass(frozen=True, eq=False)
class TrainingAccess:
    """The training itself, for callbacks that act on it or read its tensors.

    - `model`, `optimizer`: the live ones; the model is in training mode between steps;
    - `evaluate()`: loss and bits per byte of the model as it is, by split (`train`, `val`);
    - `log(split, values)`: a line in `metrics.jsonl` under that split, for this step;
    - `save(name)`: the model as it is as `checkpoints/NAME.pt`, to be opened like `best_val`.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    evaluate: Callable[[], dict[str, dict[str, float]]]
    log: Callable[[str, Mapping[str, Any]], None]
    save: Callable[[str], None]


@dataclass(frozen=True, eq=False)
class StartEvent:
    """A training that is about to take its first step, or the next one where it was `resumed`.

    `path` is the run's directory, `config` the resolved config, `step` the steps taken so far,
    `phrases` how many there are by split (chunks, of a continuous text). `plugin_drift` says of a
    resumed run which plugins aren't those it began with, a sentence each.
    """

    run_id: str
    path: Path
    config: Mapping[str, Any]
    step: int
    max_steps: int
    resumed: bool
    parameters: int
    vocab_size: int
    phrases: Mapping[str, int]
    device: str
    plugin_drift: tuple[str, ...] = ()
    access: TrainingAccess | None = None


@dataclass(frozen=True)
class StepEvent:
    """An optimizer step that is done; `step` counts from 1.

    `loss` (nats per token), `bits_per_byte` and `auxiliary` losses are of the step's own batch,
    with dropout; `grad_norm` is from before clipping. `tokens` counts those of the whole training
    so far, `batch_tokens` the step's, `seconds` its time.
    """

    step: int
    max_steps: int
    epoch: float
    tokens: int
    batch_tokens: int
    loss: float
    bits_per_byte: float
    auxiliary: Mapping[str, float]
    learning_rate: float
    grad_norm: float
    seconds: float


@dataclass(frozen=True)
class EvaluationEvent:
    """Loss and bits per byte by split: `train` (a fixed part of it) and `val`.

    `best` tells whether the validation loss is the lowest so far.
    """

    step: int
    max_steps: int
    epoch: float
    tokens: int
    losses: Mapping[str, Mapping[str, float]]
    best: bool
    tokens_per_second: float | None
    seconds: float
    memory_mib: float | None


@dataclass(frozen=True)
class CheckpointEvent:
    """A checkpoint that was saved: `path` is `best_val.pt` or `last.pt`."""

    step: int
    path: Path


@dataclass(frozen=True)
class EndEvent:
    """How it ended: `status` is `finished`, `interrupted`, `diverged` or `failed`.

    `summary` is what `summary.json` says; empty where the training failed.
    """

    step: int
    status: str
    summary: Mapping[str, Any]
