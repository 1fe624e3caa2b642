"""A run as Python code sees it: what it is made of and what came out, read from its directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tp_core.errors import TpError
from tp_core.files import read_json
from tp_core.runs.directory import RunDir
from tp_core.runs.jsonl import read_jsonl

if TYPE_CHECKING:
    from tp_core.runs.opening import LoadedRun


class Run:
    """A run's directory. Files are read when they are asked for, so it may still be in training.

    ```python
    run = tp_core.train("config.toml", runs_dir="runs")
    run.summary["best_val"]["bits_per_byte"]
    val = run.metrics()["val"]
    plt.plot(val["step"], val["loss"])
    model = run.load().model
    ```

    Raises `TpError` where there is no such directory, and where a file is missing or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self._directory = RunDir(Path(path))
        if not self.path.is_dir():
            raise TpError(
                f"no such directory: {self.path}; give a run's, as 'tp runs show' names it"
            )

    def __repr__(self) -> str:
        return f"<Run {self.path}>"

    @property
    def path(self) -> Path:
        return self._directory.path

    @property
    def id(self) -> str:
        return self._directory.id

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config, every default written out."""
        return read_json(self._directory.config_path)

    @property
    def summary(self) -> dict[str, Any]:
        """How the training ended and what it reached."""
        return read_json(self._directory.summary_path)

    def metrics(self) -> dict[str, Mapping[str, NDArray[Any]]]:
        """The lines of `metrics.jsonl` by split (`batch`, `train`, `val`), a column a number.

        Numbers inside tables have dotted names (`perf.seconds`); a line without one has NaN.
        """
        rows: dict[str, list[dict[str, Any]]] = {}
        for line in read_jsonl(self._directory.metrics_path):
            rows.setdefault(str(line.pop("split", "")), []).append(dict(_numbers(line)))
        return {split: _columns(lines) for split, lines in rows.items()}

    def samples(self) -> list[dict[str, Any]]:
        """The samples generated during training: `step`, `row`, `text`, and why each `stopped`."""
        path = self._directory.samples_path
        return read_jsonl(path) if path.exists() else []

    def load(self, checkpoint: str = "best_val", *, strict_plugins: bool = False) -> LoadedRun:
        """The model of a checkpoint, in evaluation mode, with its tokenizer and config."""
        from tp_core.runs.opening import load_run

        return load_run(self.path, checkpoint, strict_plugins=strict_plugins)


def _numbers(line: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found = []
    for name, value in line.items():
        if isinstance(value, Mapping):
            found += _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found.append((f"{prefix}{name}", value))
    return found


def _columns(lines: list[dict[str, float]]) -> dict[str, NDArray[Any]]:
    names = dict.fromkeys(name for line in lines for name in line)
    return {name: np.array([line.get(name, np.nan) for line in lines]) for name in names}
