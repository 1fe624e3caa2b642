"""A report as plain data: what is saved, printed and shown.

`schema_version` 1:

- `run`, `checkpoint`, `step`, `created`, `versions`; `data`: the phrase file and its phrases;
- `sampling`: how samples were made; `samples`: `text`, why it `stopped`, and whether it is a phrase
  of `train`, of `val` or `new`;
- `verdict`: `label`, `text`, `reasons`, and `from_step` where it overfits;
- `scores`: by split, loss and bits per byte; `baselines`: bits per byte on validation; `mass`: by
  split, what an unprompted sample at temperature 1 is with that probability, null where not asked;
- `curve`: the run's evaluations;
- `metrics`: by label, the component, its `headline` values and its `readings`: of `model`, or of
  `samples`, `held_out` and `training` phrases, each with `n`, `result` and `intervals` by key
  (`estimate`, `low`, `high`, by which `method`, at which `level`);
- `remarks`: what to bear in mind when comparing these; `perf`: seconds by phase, and memory.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from tp_core.interfaces.metrics import MetricView, SplitLosses
from tp_core.plain_data import finite
from tp_core.report.assess import Assessment, Reading
from tp_core.report.reference_phrases import remarks
from tp_core.report.verdict import Evidence, Verdict
from tp_core.runs.opening import LoadedRun

SCHEMA_VERSION = 1
_VERSIONS = ("transformer-playground", "torch", "numpy", "sentencepiece")


def document(
    *,
    loaded: LoadedRun,
    checkpoint: str,
    data: Mapping[str, Any],
    view: MetricView,
    sampling: Mapping[str, Any],
    sample_marks: Sequence[str],
    assessments: Sequence[Assessment],
    evidence: Evidence,
    baselines: Mapping[str, float],
    verdict: Verdict,
    perf: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything a report says, ready for strict JSON."""
    sampled = any("samples" in one.readings for one in assessments)
    return {
        "schema_version": SCHEMA_VERSION,
        "run": loaded.run.id,
        "checkpoint": checkpoint,
        "step": loaded.step,
        "max_steps": loaded.plan.config.train.max_steps,
        "parameters": sum(p.numel() for p in loaded.model.parameters()),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONS},
        "data": data,
        "verdict": asdict(verdict),
        "scores": {name: _figures(losses) for name, losses in view.losses.items()},
        "baselines": {name: {"val_bits_per_byte": bits} for name, bits in baselines.items()},
        "mass": evidence.mass,
        "metrics": {one.label: _metric(one) for one in assessments},
        "remarks": remarks(view, whole=loaded.model.has_eos) if sampled else [],
        "sampling": sampling,
        "samples": [
            {"text": text, "stopped": stopped, "mark": mark}
            for text, stopped, mark in zip(view.samples, view.stops, sample_marks, strict=True)
        ],
        "curve": [asdict(point) for point in evidence.curve],
        "perf": perf,
    }


def _figures(losses: SplitLosses) -> dict[str, Any]:
    return {
        "lines": len(losses.nll),
        "loss": finite(losses.loss),
        "bits_per_byte": finite(losses.bits_per_byte),
    }


def _metric(one: Assessment) -> dict[str, Any]:
    return {
        "name": one.resolved.name,
        "distribution": one.resolved.registered.plugin.distribution,
        "summary": one.resolved.registered.component.summary,
        "options": one.resolved.options.model_dump(mode="json"),
        "headline": [asdict(headline) for headline in one.headline],
        "readings": {name: _reading(reading) for name, reading in one.readings.items()},
    }


def _reading(reading: Reading) -> dict[str, Any]:
    intervals = {key: asdict(interval) for key, interval in reading.intervals.items()}
    return {"n": reading.n, "result": reading.result, "intervals": intervals}
