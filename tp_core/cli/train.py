"""`tp train`: train a model from a config, or resume a run."""

from __future__ import annotations

import signal
import warnings
from pathlib import Path
from shlex import quote
from typing import Any

import click

from tp_core.cli import options
from tp_core.cli.terminal import emit

INTERRUPTED = 128


@click.command("train", short_help="Train a model from a config.")
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path), help="Config file (.toml or .py)."
)
@options.overrides
@options.runs_dir
@click.option("--run-id", show_default="a timestamp", help="Id of the new run.")
@click.option("--resume", "resume_id", metavar="RUN", help="Resume a run from its last checkpoint.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check the config and summarise the model without training.",
)
def command(
    config_path: Path | None,
    overrides: tuple[str, ...],
    runs_dir: Path,
    run_id: str | None,
    resume_id: str | None,
    dry_run: bool,
) -> None:
    """Train a model from a config.

    \b
    tp train --config configs/default.toml --set model.mlp=gelu
    tp train --resume latest

    Writes runs/RUN_ID/ and prints the run id on stdout. Ctrl-C finishes the current step, saves a
    checkpoint and stops.
    """
    if resume_id is not None:
        if config_path or overrides or run_id or dry_run:
            raise click.UsageError(
                "--resume uses the run's own config: it can't be combined with --config, --set, "
                "--run-id or --dry-run"
            )
        from tp_core.runs.directory import find_run

        _train(runs_dir, resume=find_run(runs_dir, resume_id).id)
        return
    if config_path is None:
        raise click.UsageError(
            "specify a config with --config FILE (`tp init DIR` writes one to start from), "
            "or a run to resume with --resume RUN"
        )
    from tp_core.runs.directory import check_run_id

    if run_id is not None:
        check_run_id(run_id)
        if (runs_dir / run_id).exists():
            raise click.UsageError(f"--run-id {run_id}: {runs_dir / run_id} already exists")
    from tp_core.config.plan import load_plan

    plan = load_plan(config_path, overrides)
    if dry_run:
        from tp_core.training.dry_run import describe

        emit(describe(plan), end="")
        return
    _train(runs_dir, config=plan, run_id=run_id)


def _train(runs_dir: Path, **what: Any) -> None:
    from tp_core.cli.progress import ProgressDisplay
    from tp_core.training.callbacks import CallbackWarning
    from tp_core.training.loop import Interrupted
    from tp_core.training.train import PluginDriftWarning, train

    progress = ProgressDisplay()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PluginDriftWarning)  # the progress display prints it
            warnings.simplefilter("always", CallbackWarning)
            show = warnings.showwarning

            def say(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
                if issubclass(category, CallbackWarning):
                    progress.say(f"Warning: {message}")
                else:
                    show(message, category, *where, **more)

            warnings.showwarning = say
            run = train(**what, runs_dir=runs_dir, callbacks=[progress])
    except Interrupted as stop:
        again = _again(progress.run_id, runs_dir)
        progress.say(f"interrupted at step {stop.step}; resume with: {again}")
        raise SystemExit(INTERRUPTED + stop.signal) from None
    except KeyboardInterrupt:
        if not progress.run_id:
            raise
        again = _again(progress.run_id, runs_dir)
        progress.say(f"stopped immediately; resume from the last checkpoint with: {again}")
        raise SystemExit(INTERRUPTED + signal.SIGINT) from None
    emit(run.id)


def _again(run_id: str, runs_dir: Path) -> str:
    """The command that resumes a run."""
    command = f"tp train --resume {run_id}"
    return command if runs_dir == Path("runs") else f"{command} --runs-dir {quote(str(runs_dir))}"
