"""Making a comparison: every run evaluated, grouped by config, and held against the first."""

from __future__ import annotations

from collections.abc import Sequence

from tp_core.compare.differences import config_differences, provenance_differences
from tp_core.compare.evaluated_run import EvaluatedRun, Sampling, evaluate_run
from tp_core.compare.likelihood import compare_groups
from tp_core.compare.render import Comparison
from tp_core.compare.seed_groups import group
from tp_core.errors import ConfigError, TpError, UnusableRun
from tp_core.runs.directory import RunDir


def compare_runs(
    runs: Sequence[RunDir], checkpoint: str, sampling: Sampling, *, strict_plugins: bool = False
) -> Comparison:
    """The comparison of two runs or more. Raises `TpError` naming a run that can't be evaluated."""
    evaluated = [_evaluated(run, checkpoint, sampling, strict_plugins) for run in runs]
    groups = group(evaluated)
    return Comparison(
        checkpoint=checkpoint,
        prompt=sampling.prompt,
        sampling_seed=sampling.seed,
        runs=tuple(evaluated),
        groups=tuple(groups),
        config=tuple(config_differences([run.config for run in evaluated])),
        provenance=tuple(provenance_differences([run.provenance for run in evaluated])),
        differences=tuple(compare_groups(groups)),
    )


def _evaluated(
    run: RunDir, checkpoint: str, sampling: Sampling, strict_plugins: bool
) -> EvaluatedRun:
    try:
        return evaluate_run(run, checkpoint, sampling, strict_plugins=strict_plugins)
    except (UnusableRun, ConfigError):  # these name the run, or its file
        raise
    except TpError as error:
        raise type(error)(f"run '{run.id}': {error}") from error
