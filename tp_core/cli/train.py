"""`tp train`: a config becomes a run."""

from __future__ import annotations

import signal
from datetime import datetime, timezone
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from tp_core.cli import options
from tp_core.cli.terminal import emit, note, warn

if TYPE_CHECKING:
    from tp_core.runs.directory import RunDir
    from tp_core.training.session import Session

INTERRUPTED = 128


@click.command("train", short_help="Train a model from a config.")
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path), help="Config file: .toml or .py."
)
@options.overrides
@options.runs_dir
@click.option("--run-id", show_default="a timestamp", help="Id of the new run.")
@click.option("--resume", "resume_id", metavar="RUN", help="Resume a run.")
@click.option("--dry-run", is_flag=True, help="Check everything and describe the model only.")
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

    Writes runs/RUN_ID/ and prints the run id on stdout. Ctrl-C stops after the current step, with a
    checkpoint.
    """
    from tp_core.runs.directory import check_run_id, claim_run, find_run, lock, new_run_id

    if resume_id is not None:
        if config_path or overrides or run_id or dry_run:
            raise click.UsageError(
                "--resume goes on with the run's own config: leave out --config, --set, --run-id "
                "and --dry-run"
            )
        run = find_run(runs_dir, resume_id)
        with lock(run):
            from tp_core.training.session import resume

            session = resume(run)
            for sentence in session.plugin_drift:
                warn(sentence)
            if not session.state.step:
                note(f"run '{run.id}' has no checkpoint yet: from step 0")
            _train(session)
        return
    if config_path is None:
        raise click.UsageError(
            "name a config: tp train --config FILE (`tp init DIR` writes one to start from), "
            "or go on with a run: tp train --resume RUN"
        )
    if run_id is not None:
        check_run_id(run_id)
        if (runs_dir / run_id).exists():
            raise click.UsageError(f"--run-id {run_id}: {runs_dir / run_id} exists already")
    from tp_core.config.plan import load_plan

    plan = load_plan(config_path, overrides)
    if dry_run:
        from tp_core.training.dry_run import describe

        emit(describe(plan), end="")
        return
    from tp_core.training.session import start
    from tp_core.training.setup import make_setup

    setup = make_setup(plan)  # whatever is wrong with the input is found before a run is made
    run = claim_run(runs_dir, run_id or new_run_id(datetime.now(timezone.utc)))
    with lock(run):
        _train(start(setup, run))


def _train(session: Session) -> None:
    from tp_core.errors import Diverged
    from tp_core.training.loop import Interrupted, train
    from tp_core.training.progress import ProgressDisplay

    run, max_steps = session.run, session.plan.config.train.max_steps
    with ProgressDisplay(max_steps, session.state.step) as progress:
        progress.say(_opening(session))
        try:
            summary = train(session, progress)
        except Interrupted as stop:
            progress.say(f"interrupted at step {session.state.step}; go on with: {_again(run)}")
            raise SystemExit(INTERRUPTED + stop.signal) from None
        except KeyboardInterrupt:
            progress.say(f"stopped at once; go on from the last checkpoint with: {_again(run)}")
            raise SystemExit(INTERRUPTED + signal.SIGINT) from None
        except Diverged:
            session.summarise("diverged")
            raise
        finally:
            session.close()
        progress.say(_closing(summary))
    emit(run.id)


def _again(run: RunDir) -> str:
    """The command that resumes a run."""
    command = f"tp train --resume {run.id}"
    runs_dir = run.path.parent
    return command if runs_dir == Path("runs") else f"{command} --runs-dir {quote(str(runs_dir))}"


def _opening(session: Session) -> str:
    setup = session.setup
    count = sum(p.numel() for p in setup.model.parameters())
    used, phrases = setup.dataset.counts.used, session.plan.config.data.phrases
    begin = f", from step {session.state.step}" if session.state.step else ""
    return (
        f"run {session.run.id}: {count:,} parameters on {setup.device}, "
        f"{used['train']:,} {phrases} to learn from, {used['val']:,} to validate, "
        f"vocabulary {setup.dataset.tokenizer.vocab_size}{begin}"
    )


def _closing(summary: dict[str, Any]) -> str:
    from tp_core.cli.terminal import one_line

    unigram = summary["baselines"]["character_unigram"]["val_bits_per_byte"]
    fivegram = summary["baselines"]["character_5gram"]["val_bits_per_byte"]
    first, last, best = (summary[f"{name}_val"] for name in ("first", "last", "best"))
    share = 1 - last["bits_per_byte"] / unigram
    side = f"{share:.0%} below" if share >= 0 else f"{-share:.0%} above"
    lines = [
        f"validation loss {first['loss']:.3f} -> {last['loss']:.3f}, bits per byte "
        f"{first['bits_per_byte']:.3f} -> {last['bits_per_byte']:.3f} "
        f"(best {best['bits_per_byte']:.3f} at step {best['step']})",
        f"  {side} a character unigram model's {unigram:.3f}; "
        f"a character 5-gram has {fivegram:.3f}",
        "samples:",
        *(f"  {one_line(text)}" for text in summary["samples"]),
    ]
    return "\n".join(lines)
