"""Opening the data a run was trained on, to look at the run beside it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tp_core.data.dataset import Dataset
from tp_core.data.from_plan import open_dataset
from tp_core.errors import TpError
from tp_core.files import read_json
from tp_core.runs.opening import LoadedRun


def open_run_data(loaded: LoadedRun) -> Dataset:
    """The run's dataset, split and tokenised as it was in training.

    It is looked for where it was then, whatever the working directory is now. Raises `TpError`
    where the file is gone or isn't the same any more: what were validation lines then might be
    training lines now.
    """
    run = loaded.run
    recorded = read_json(run.provenance_path).get("data") or {}
    path = Path(recorded.get("path") or loaded.plan.config.data.path)
    if not path.is_file():
        raise TpError(f"the data of run '{run.id}', {path}, is gone: put it back there")
    data = loaded.plan.config.data.model_copy(update={"path": str(path)})
    config = loaded.plan.config.model_copy(update={"data": data})
    dataset = open_dataset(dataclasses.replace(loaded.plan, config=config), loaded.tokenizer)
    if dataset.sha256 != recorded.get("sha256"):
        raise TpError(
            f"{path} has changed since run '{run.id}' was trained on it: put the old file back, "
            "or train on the new one"
        )
    return dataset
