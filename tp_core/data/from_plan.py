"""A plan's data: its dataset, and the batches its training sees. Torch-free."""

from __future__ import annotations

from pathlib import Path

from tp_core.config.plan import Plan
from tp_core.data.dataset import Dataset, load_dataset
from tp_core.data.layouts import DataLoader, make_data_loader
from tp_core.data.tokenizer import Tokenizer


def open_dataset(plan: Plan, tokenizer: Tokenizer | None = None) -> Dataset:
    """The dataset a plan names, tokenised by a given tokenizer or by one of its own."""
    data, config = plan.config.data, plan.config.tokenizer
    return load_dataset(
        path=Path(data.path),
        val_fraction=data.val_fraction,
        test_fraction=data.test_fraction,
        split_seed=data.split_seed,
        overlong=data.overlong,
        model_type=config.model_type,
        vocab_size=config.vocab_size,
        max_seq_len=plan.config.model.max_seq_len,
        layout=data.layout,
        tokenizer=tokenizer,
    )


def open_data_loader(plan: Plan, dataset: Dataset) -> DataLoader:
    """The batches of a plan's training, step by step."""
    return make_data_loader(
        plan.config.data.layout,
        dataset.train,
        batch_size=plan.config.train.batch_size,
        seed=plan.config.train.seed,
        max_seq_len=plan.config.model.max_seq_len,
    )
