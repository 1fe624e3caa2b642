"""How likely a run's model finds the phrases it learned from, and those it didn't."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tp_core.data.batches import eval_batches
from tp_core.data.dataset import Dataset, TokenizedSplit
from tp_core.evaluation.losses import measure_losses
from tp_core.interfaces.metrics import SplitLosses, TokenLosses
from tp_core.runs.opening import LoadedRun


def split_losses(loaded: LoadedRun, dataset: Dataset) -> dict[str, SplitLosses]:
    """Scores of the training lines that training's own evaluations read, and of all validation
    lines in the order of the file, these token by token too."""
    size = _batch_size(loaded)
    most = min(loaded.plan.config.eval.max_lines, len(dataset.val))
    train = eval_batches(dataset.train, size, most)
    return {
        "train": _score(loaded, dataset.train, train),
        "val": _in_order(loaded, dataset.val, size, token_losses=True),
    }


def distinct_losses(
    loaded: LoadedRun, dataset: Dataset, texts: Mapping[str, Sequence[str]], val: SplitLosses
) -> dict[str, SplitLosses]:
    """Scores of each distinct phrase of `train` and `val`, in the order they first come in."""
    first = {name: _first_places(texts[name]) for name in ("train", "val")}
    return {
        "train": _only(loaded, dataset.train, first["train"]),
        "val": _picked(val, first["val"]),
    }


def _batch_size(loaded: LoadedRun) -> int:
    """Lines scored together: those of training's evaluations, so that figures agree to the bit."""
    train = loaded.plan.config.train
    return -(-train.batch_size // train.grad_accumulation)


def _score(
    loaded: LoadedRun,
    split: TokenizedSplit,
    batches: Sequence[NDArray[np.int64]],
    token_losses: bool = False,
) -> SplitLosses:
    model, tokenizer = loaded.model, loaded.tokenizer
    return measure_losses(
        model, tokenizer, split, batches, loaded.autocast, token_losses=token_losses
    )


def _in_order(
    loaded: LoadedRun, split: TokenizedSplit, size: int, *, token_losses: bool = False
) -> SplitLosses:
    batches = eval_batches(split, size, len(split))
    losses = _score(loaded, split, batches, token_losses)
    order = np.concatenate([*batches, np.empty(0, np.int64)])
    lines = np.argsort(order, kind="stable")
    tokens = _tokens(losses.token_losses, losses.tokens, order) if losses.token_losses else None
    return replace(_picked(losses, lines), token_losses=tokens)


def _only(loaded: LoadedRun, split: TokenizedSplit, lines: NDArray[np.int64]) -> SplitLosses:
    """Scores of some lines, in the order given."""
    size = _batch_size(loaded)
    by_length = np.argsort(split.lengths[lines], kind="stable")
    batches = [lines[by_length[i : i + size]] for i in range(0, len(lines), size)]
    return _picked(_score(loaded, split, batches), np.argsort(by_length, kind="stable"))


def _first_places(texts: Sequence[str]) -> NDArray[np.int64]:
    """Where each distinct text first stands, in order."""
    places: dict[str, int] = {}
    for index, text in enumerate(texts):
        places.setdefault(text, index)
    return np.fromiter(places.values(), np.int64, len(places))


def _picked(losses: SplitLosses, lines: NDArray[np.int64]) -> SplitLosses:
    """Scores of these lines, in this order."""
    return SplitLosses(losses.nll[lines], losses.tokens[lines], losses.bytes[lines])


def _tokens(tokens: TokenLosses, counts: NDArray[np.int64], line: NDArray[np.int64]) -> TokenLosses:
    """The tokens, `counts` of them for each line, in the order of the numbers of their `line`."""
    order = np.argsort(np.repeat(line, counts), kind="stable")
    columns = ("nll", "position", "end", "confidence", "correct")
    return replace(tokens, **{name: getattr(tokens, name)[order] for name in columns})
