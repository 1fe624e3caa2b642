"""Score the training and validation phrases of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tp_core.data.batches import eval_batches
from tp_core.data.dataset import Dataset
from tp_core.evaluation.losses import measure_lines, measure_losses, select_lines
from tp_core.interfaces.metrics import SplitLosses
from tp_core.runs.opening import LoadedRun


def split_losses(loaded: LoadedRun, dataset: Dataset) -> dict[str, SplitLosses]:
    """Scores of the training subset used in training's evaluations, and of all validation lines
    in file order, the latter also per token."""
    model, tokenizer, size = loaded.model, loaded.tokenizer, _batch_size(loaded)
    most = min(loaded.plan.config.eval.max_lines, len(dataset.val))
    train = eval_batches(dataset.train, size, most)
    return {
        "train": measure_losses(model, tokenizer, dataset.train, train, loaded.autocast),
        "val": measure_lines(
            model, tokenizer, dataset.val, size, loaded.autocast, token_losses=True
        ),
    }


def distinct_losses(
    loaded: LoadedRun, dataset: Dataset, texts: Mapping[str, Sequence[str]], val: SplitLosses
) -> dict[str, SplitLosses]:
    """Scores of each distinct phrase of `train` and `val`, in the order they first come in."""
    train = measure_lines(
        loaded.model,
        loaded.tokenizer,
        dataset.train,
        _batch_size(loaded),
        loaded.autocast,
        lines=_first_places(texts["train"]),
    )
    return {"train": train, "val": select_lines(val, _first_places(texts["val"]))}


def _batch_size(loaded: LoadedRun) -> int:
    """Lines scored together: those of training's evaluations, so that figures agree to the bit."""
    train = loaded.plan.config.train
    return -(-train.batch_size // train.grad_accumulation)


def _first_places(texts: Sequence[str]) -> NDArray[np.int64]:
    """Where each distinct text first stands, in order."""
    places: dict[str, int] = {}
    for index, text in enumerate(texts):
        places.setdefault(text, index)
    return np.fromiter(places.values(), np.int64, len(places))
