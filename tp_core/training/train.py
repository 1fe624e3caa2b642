"""`train`: the entry point of every training, from the command line or from Python."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tp_core.config.plan import Plan, load_plan, make_plan
from tp_core.config.read_file import Source
from tp_core.errors import Diverged, TpError
from tp_core.interfaces.callbacks import EndEvent
from tp_core.runs.directory import check_run_id, claim_run, find_run, lock, new_run_id
from tp_core.runs.run import Run
from tp_core.training.callbacks import Callback
from tp_core.training.loop import Interrupted, run_steps
from tp_core.training.session import Session, start
from tp_core.training.session import resume as resume_session
from tp_core.training.setup import make_setup


class PluginDriftWarning(UserWarning):
    """A resumed run uses other plugins than before."""


def train(
    config: str | Path | Mapping[str, Any] | Plan | None = None,
    *,
    runs_dir: str | Path = "runs",
    run_id: str | None = None,
    resume: str | None = None,
    callbacks: Sequence[Any] = (),
) -> Run:
    """Train the model a config describes, and return its run.

    ```python
    run = tp_core.train("configs/default.toml", runs_dir="runs")
    run = tp_core.train({**config, "train": {**config["train"], "seed": 2}})
    run = tp_core.train(resume="latest")
    ```

    `config` is a file, a dict with the same layout, or a `Plan`. `run_id` is the id of the new run,
    a timestamp by default. `resume` continues an existing run instead, given by its id, a unique
    prefix of it, or "latest". `callbacks` are objects with methods from
    `tp_core.interfaces.callbacks`, called in addition to the config's own. Nothing is printed.
    Several trainings in one process give the same results, byte for byte, as in separate processes.

    Raises `TpError` before anything is written if the input is invalid (`ConfigError` with every
    problem of a config), `Diverged` if the loss isn't finite, and `KeyboardInterrupt` on Ctrl-C,
    after saving a checkpoint.
    """
    extra = _named(callbacks)
    if resume is not None:
        if config is not None or run_id is not None:
            raise TpError(
                "resume uses the run's own config: it can't be combined with config or run_id"
            )
        run = find_run(Path(runs_dir), resume)
        with lock(run):
            session = resume_session(run, extra)
            for sentence in session.plugin_drift:
                warnings.warn(sentence, PluginDriftWarning, stacklevel=2)
            return _run(session)
    if config is None:
        raise TpError("specify a config to train or a run to resume")
    if run_id is not None:
        check_run_id(run_id)
        if (Path(runs_dir) / run_id).exists():
            raise TpError(f"run_id '{run_id}': {Path(runs_dir) / run_id} already exists")
    setup = make_setup(_plan(config), callbacks=extra)
    # All input is validated before the run is created.
    run = claim_run(Path(runs_dir), run_id or new_run_id(datetime.now(timezone.utc)))
    with lock(run):
        return _run(start(setup, run))


def _plan(config: str | Path | Mapping[str, Any] | Plan) -> Plan:
    if isinstance(config, Plan):
        return config
    if isinstance(config, Mapping):
        return make_plan(Source(dict(config), Path("config"), lambda key: None))
    return load_plan(Path(config))


def _named(callbacks: Sequence[Any]) -> list[Callback]:
    """Name callback objects after their classes, numbered if a class occurs more than once."""
    counts: Counter[str] = Counter()
    found = []
    for made in callbacks:
        cls = type(made)
        counts[cls.__name__] += 1
        number = counts[cls.__name__]
        name = f"{cls.__name__}-{number}" if number > 1 else cls.__name__
        found.append(Callback(name, made))
    return found


def _run(session: Session) -> Run:
    """Run a session to its end, notify callbacks, and close its files."""
    summary: dict[str, Any] = {}
    status = "failed"
    try:
        summary = run_steps(session)
        status = "finished"
    except Interrupted:
        status = "interrupted"
        summary = session.summarise("interrupted")
        raise
    except Diverged:
        status = "diverged"
        summary = session.summarise("diverged")
        raise
    finally:
        try:
            end = EndEvent(session.state.step, status, summary)
            session.callbacks.end(end)
        finally:
            session.close()
    return Run(session.run.path)
