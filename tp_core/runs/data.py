"""Open the dataset that a run was trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tp_core.data.dataset import Dataset
from tp_core.data.from_plan import open_dataset
from tp_core.errors import TpError
from tp_core.files import read_json
from tp_core.runs.opening import LoadedRun


def open_run_data(loaded: LoadedRun) -> Dataset:
    """The run's dataset, split and tokenised as in training.

    The file is read from its original location, independent of the working directory. Raises
    `TpError` if it is missing or has changed, because its validation lines might have changed too.
    """
    run = loaded.run
    recorded = read_json(run.provenance_path).get("data") or {}
    path = Path(recorded.get("path") or loaded.plan.config.data.path)
    if not path.is_file():
        raise TpError(f"the data of run '{run.id}' is missing: restore {path}")
    data = loaded.plan.config.data.model_copy(update={"path": str(path)})
    config = loaded.plan.config.model_copy(update={"data": data})
    dataset = open_dataset(dataclasses.replace(loaded.plan, config=config), loaded.tokenizer)
    if dataset.sha256 != recorded.get("sha256"):
        raise TpError(
            f"{path} has changed since run '{run.id}' was trained on it: restore the old file, "
            "or train a new run"
        )
    return dataset
