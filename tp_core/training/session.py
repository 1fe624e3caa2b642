"""A training and its run directory: start, resume, checkpoints and summary."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tp_core.config.plan import Plan
from tp_core.data.tokenizer import Tokenizer
from tp_core.errors import TpError
from tp_core.files import read_json, write_json
from tp_core.interfaces.callbacks import CheckpointEvent
from tp_core.model.device import peak_memory_mib
from tp_core.runs.checkpoint import load_last, save_checkpoint
from tp_core.runs.directory import RunDir
from tp_core.runs.jsonl import JsonlWriter, truncate
from tp_core.runs.opening import doesnt_fit, open_plan, plugin_drift_of
from tp_core.runs.provenance import collect, component_records
from tp_core.training.callbacks import Callback, Callbacks
from tp_core.training.metrics_log import MetricsLog
from tp_core.training.setup import TrainingSetup, make_setup


@dataclass
class TrainingState:
    """Progress of a training. `stopped`: which callback ended it early, and why."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    first: dict[str, Any] | None = None
    latest: dict[str, Any] | None = None
    best: dict[str, Any] | None = None
    stopped: dict[str, str] | None = None


@dataclass(frozen=True, eq=False)
class Session:
    """One training and the directory it writes to.

    `plugin_drift` has a sentence for each plugin that changed before a resume.
    """

    run: RunDir
    setup: TrainingSetup
    state: TrainingState
    provenance: Mapping[str, Any]
    metrics: JsonlWriter
    samples: JsonlWriter
    callbacks: Callbacks
    plugin_drift: tuple[str, ...] = ()
    resumed: bool = False

    @property
    def plan(self) -> Plan:
        return self.setup.plan

    def save(self, *, best: bool = False) -> None:
        """Write `best_val.pt`, or `last.pt` with everything a resume needs."""
        path = self.run.best_val_path if best else self.run.last_path
        if best:
            save_checkpoint(path, self._payload())
        else:
            self.metrics.flush_to_disk()
            self.samples.flush_to_disk()
            payload = {
                **self._payload(),
                "optimizer": self.setup.optimizer.state_dict(),
                "metrics_offset": self.metrics.offset,
                "samples_offset": self.samples.offset,
            }
            if states := self.callbacks.state_dicts():
                payload["callbacks"] = states
            save_checkpoint(path, payload, keep=self.run.previous_path)
        self.callbacks.tell("on_checkpoint", CheckpointEvent(self.state.step, path))

    def save_as(self, name: str) -> None:
        """Save the current model to `checkpoints/NAME.pt`."""
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in ("best_val", "last", "previous"):
            raise TpError(f"'{name}' is not a valid checkpoint name, or is reserved")
        save_checkpoint(self.run.checkpoints_dir / f"{name}.pt", self._payload())

    def _payload(self) -> dict[str, Any]:
        return {
            "model": self.setup.model.state_dict(),
            "config": json.dumps(self.plan.config.as_data()),
            "provenance": json.dumps(self.provenance),
            "state": json.dumps(vars(self.state)),
        }

    def summarise(self, status: str, **more: Any) -> dict[str, Any]:
        """Write `summary.json`: how the training ended, and its results."""
        state = self.state
        summary = {
            "status": status,
            "step": state.step,
            "max_steps": self.plan.config.train.max_steps,
            "tokens": state.tokens,
            "parameters": sum(p.numel() for p in self.setup.model.parameters()),
            "vocab_size": self.setup.dataset.tokenizer.vocab_size,
            "first_val": state.first,
            "last_val": state.latest,
            "best_val": state.best,
            **({"stopped": state.stopped} if state.stopped else {}),
            **more,
            "perf": {
                "seconds": round(state.seconds, 3),
                "tokens_per_second": round(state.tokens / max(state.seconds, 1e-9), 1),
                "memory_mib": peak_memory_mib(self.setup.device),
            },
        }
        write_json(self.run.summary_path, summary)
        return summary

    def close(self) -> None:
        self.metrics.close()
        self.samples.close()


def start(setup: TrainingSetup, run: RunDir) -> Session:
    """Start a new run in a claimed directory."""
    plan, dataset = setup.plan, setup.dataset
    provenance = collect(
        component_records(plan),
        {
            "path": str(Path(plan.config.data.path).resolve()),
            "sha256": dataset.sha256,
            "lines": dataset.counts.lines,
            "blank": dataset.counts.blank,
            "duplicates": dataset.counts.duplicates,
            "used": dict(dataset.counts.used),
            "overlong": dict(dataset.counts.overlong),
        },
        torch_threads=torch.get_num_threads(),
    )
    provenance["causality_probe"] = setup.causality_probe
    run.tokenizer_path.write_bytes(dataset.tokenizer.model_bytes)
    write_json(run.provenance_path, provenance)
    # Written last, so that a run with a config is complete.
    write_json(run.config_path, plan.config.as_data())
    return _open(run, setup, TrainingState(), provenance)


def resume(run: RunDir, callbacks: Sequence[Callback] = ()) -> Session:
    """Resume an interrupted run from its last checkpoint; its logs are truncated to that point."""
    plan = open_plan(run)
    if run.summary_path.exists() and read_json(run.summary_path).get("status") == "finished":
        raise TpError(f"run '{run.id}' is finished: nothing to resume")
    provenance = read_json(run.provenance_path)
    has_checkpoint = run.last_path.exists() or run.previous_path.exists()
    payload = load_last(run)[0] if has_checkpoint else None
    state = TrainingState(**json.loads(payload["state"])) if payload else TrainingState()
    setup = make_setup(plan, Tokenizer.load(run.tokenizer_path), callbacks)
    if setup.dataset.sha256 != provenance["data"]["sha256"]:
        raise TpError(
            f"{plan.config.data.path} has changed since run '{run.id}' started: "
            "restore it, or start a new run"
        )
    if payload:
        try:
            setup.model.load_state_dict(payload["model"])
            setup.optimizer.load_state_dict(payload["optimizer"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise doesnt_fit(f"the checkpoint of run '{run.id}'", error) from error
    for path, key in ((run.metrics_path, "metrics_offset"), (run.samples_path, "samples_offset")):
        if path.exists() or payload:
            truncate(path, payload[key] if payload else 0)
    run.summary_path.unlink(missing_ok=True)
    session = _open(run, setup, state, provenance)
    if payload:
        session.callbacks.load_state_dicts(payload.get("callbacks", {}))
    return replace(session, plugin_drift=tuple(plugin_drift_of(run, plan)), resumed=True)


def _open(
    run: RunDir,
    setup: TrainingSetup,
    state: TrainingState,
    provenance: Mapping[str, Any],
) -> Session:
    metrics, samples = JsonlWriter(run.metrics_path), JsonlWriter(run.samples_path)
    # First, so that an event is logged before other callbacks react to it.
    log = Callback("metrics.jsonl", MetricsLog(metrics))
    every = Callbacks([log, *setup.callbacks])
    return Session(run, setup, state, provenance, metrics, samples, every)
