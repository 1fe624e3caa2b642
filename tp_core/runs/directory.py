"""The directory of a run, its id, and its lock.

A run is a directory inside the runs directory, named by its id. Creating it claims the id, and no
id can point outside the runs directory. Runs killed at any moment can still be read. Torch-free.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from tp_core.errors import RunFailed, TpError, did_you_mean
from tp_core.files import json_or_empty

LATEST = "latest"
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)

# `tp runs list` briefly takes each lock to see whether it is held; a training that starts at that
# moment should not fail.
LOCK_PATIENCE_S = 0.5


@dataclass(frozen=True)
class RunDir:
    """The paths inside one run's directory; doesn't access the file system."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def config_path(self) -> Path:
        return self.path / "config.json"

    @property
    def summary_path(self) -> Path:
        return self.path / "summary.json"

    @property
    def provenance_path(self) -> Path:
        return self.path / "provenance.json"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def samples_path(self) -> Path:
        return self.path / "samples.jsonl"

    @property
    def lock_path(self) -> Path:
        return self.path / ".lock"

    @property
    def checkpoints_dir(self) -> Path:
        return self.path / "checkpoints"

    @property
    def best_val_path(self) -> Path:
        return self.checkpoints_dir / "best_val.pt"

    @property
    def last_path(self) -> Path:
        return self.checkpoints_dir / "last.pt"

    @property
    def previous_path(self) -> Path:
        return self.checkpoints_dir / "previous.pt"

    @property
    def tokenizer_path(self) -> Path:
        return self.path / "tokenizer" / "spm.model"

    @property
    def reports_dir(self) -> Path:
        return self.path / "reports"


def new_run_id(now: datetime) -> str:
    """A unique id that sorts by time (UTC, to the second)."""
    return f"{now.astimezone(timezone.utc):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def check_run_id(run_id: str) -> None:
    """Raise `TpError` unless `run_id` can name a new run."""
    if RUN_ID.fullmatch(run_id) is None:
        raise TpError(
            f"{_shown(run_id)} is not a valid run id: use up to 64 letters, digits, '.', '_' and "
            "'-', starting with a letter or digit"
        )
    if run_id.lower() == LATEST:
        raise TpError(f"run id '{run_id}' is reserved for the newest run: choose another")
    if _DEVICE.fullmatch(run_id):
        raise TpError(f"run id '{run_id}' is a reserved device name on Windows: choose another")
    if run_id.endswith((".", ".lock")):
        raise TpError(f"run id '{run_id}' must not end in '.' or '.lock': choose another")


def claim_run(runs_dir: Path, run_id: str) -> RunDir:
    """Create the directory of a new run, with its empty sub-directories.

    Two processes that ask for one id can't both get it. Raises `TpError` where the id is unfit or
    taken, or the directory can't be created.
    """
    check_run_id(run_id)
    run = RunDir(runs_dir / run_id)
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise TpError(
            f"the runs directory '{runs_dir}' is a file, or inside one: choose another path"
        ) from None
    except OSError as error:
        raise _cannot_create(runs_dir, error) from error
    try:
        run.path.mkdir()
        for directory in (run.checkpoints_dir, run.tokenizer_path.parent, run.reports_dir):
            directory.mkdir()
    except FileExistsError:
        raise TpError(
            f"run id '{run_id}' is taken ('{run.path}' exists): choose another, "
            f"or remove that one with 'tp runs rm {run_id}'"
        ) from None
    except OSError as error:
        raise _cannot_create(run.path, error) from error
    return run


def find_run(runs_dir: Path, wanted: str) -> RunDir:
    """The run whose id is `wanted` or alone begins so; for `latest`, the newest one.

    Raises `TpError` where there is none or more than one.
    """
    if RUN_ID.fullmatch(wanted) is None:
        raise TpError(
            f"{_shown(wanted)} is not a valid run id: give an id, a unique prefix, or '{LATEST}'; "
            "'tp runs list' lists the runs"
        )
    runs = {run.id: run for run in runs_in(runs_dir)}
    if not runs:
        raise TpError(f"no runs in '{runs_dir}': start one with 'tp train'")
    if wanted == LATEST:
        return max(runs.values(), key=lambda run: (created_at(run), run.id))
    if wanted in runs:
        return runs[wanted]
    matches = sorted(run_id for run_id in runs if run_id.startswith(wanted))
    if len(matches) == 1:
        return runs[matches[0]]
    if matches:
        shown = ", ".join(matches[:5]) + (", …" if len(matches) > 5 else "")
        raise TpError(f"'{wanted}' matches {len(matches)} run ids: {shown}; give a longer prefix")
    raise TpError(
        f"no run '{wanted}' in '{runs_dir}'.{did_you_mean(wanted, runs)} "
        "'tp runs list' lists all of them"
    )


@contextmanager
def lock(run: RunDir) -> Iterator[None]:
    """Lock `run` for training; the lock is released when the process ends in any way.

    Raises `TpError` where another process holds it.
    """
    held = FileLock(run.lock_path)
    try:
        held.acquire(timeout=LOCK_PATIENCE_S)
    except Timeout:
        raise TpError(
            f"run '{run.id}' is being trained by another process: wait for it or stop it, "
            "or use another run id"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise TpError(
            f"cannot lock '{run.lock_path}': {error}; is the directory writable?"
        ) from error
    try:
        yield
    finally:
        held.release()


def is_locked(run: RunDir) -> bool:
    """Whether some process, this one included, holds the run's lock."""
    try:
        if not run.lock_path.is_file():
            return False
        with FileLock(run.lock_path, timeout=0):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False  # a directory that can't be locked, such as a read-only copy


def remove_run(run: RunDir) -> None:
    """Delete a run. Raises `RunFailed` if part of it can't be deleted."""
    # Renamed first, so that an interrupted deletion doesn't leave a broken run.
    doomed = run.path.with_name(f".{run.id}.{secrets.token_hex(4)}.deleted")
    try:
        run.path.rename(doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise RunFailed(f"cannot delete {run.path}: {error.strerror or error}") from error


def runs_in(runs_dir: Path) -> list[RunDir]:
    """The subdirectories that are runs."""
    try:
        root = runs_dir.resolve()
        entries = [runs_dir / entry.name for entry in runs_dir.iterdir()]
    except FileNotFoundError:
        return []
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise TpError(f"cannot read the runs directory '{runs_dir}': {error}") from error
    return [RunDir(path) for path in entries if _is_run(path, root)]


def _is_run(path: Path, root: Path) -> bool:
    try:
        check_run_id(path.name)
        if not path.is_dir() or path.resolve().parent != root:
            return False
        # Training creates one of these right after the directory.
        return any((path / mark).exists() for mark in ("checkpoints", "config.json", ".lock"))
    except (TpError, OSError):
        return False


def created_at(run: RunDir) -> datetime:
    """When a run started, from its provenance or else from file times."""
    text = json_or_empty(run.provenance_path).get("created")
    if isinstance(text, str):
        with suppress(ValueError):
            created = datetime.fromisoformat(text)
            return created if created.tzinfo else created.replace(tzinfo=timezone.utc)
    modified = 0.0
    for path in (run.config_path, run.path):  # the config is written once, the directory changes
        with suppress(OSError):
            modified = path.stat().st_mtime
            break
    return datetime.fromtimestamp(modified, timezone.utc)


def _shown(text: str) -> str:
    """`text` quoted for a message, cut short and with control characters escaped."""
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _cannot_create(path: Path, error: OSError) -> TpError:
    return TpError(f"cannot create '{path}': {error.strerror or error}; choose a writable path")
