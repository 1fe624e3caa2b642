"""Run ids, the runs directory, the lock, and the small JSON files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tp_core.errors import RunFailed, TpError
from tp_core.files import write_json
from tp_core.runs.directory import (
    RunDir,
    check_run_id,
    claim_run,
    find_run,
    lock,
    new_run_id,
    remove_run,
    runs_in,
)
from tp_core.runs.jsonl import JsonlWriter
from tp_core.runs.query import find_runs
from tp_core.runs.summary import RunSummary

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=timezone.utc)


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def make(runs_dir: Path, run_id: str, created: datetime = NOON) -> RunDir:
    run = claim_run(runs_dir, run_id)
    write_json(run.config_path, {"train": {"max_steps": 100}})
    write_json(run.provenance_path, {"created": created.isoformat()})
    return run


def list_runs(runs_dir: Path) -> list[RunSummary]:
    return [run.summary for run in find_runs(runs_in(runs_dir), [], None, False)]


# --- ids ---


def test_new_ids_sort_by_time_and_differ_within_a_second() -> None:
    times = [NOON + timedelta(seconds=seconds) for seconds in (0, 1, 59, 3600, 10**6, 10**8)]
    ids = [new_run_id(time) for time in times]
    assert ids == sorted(ids)
    for run_id in ids:
        check_run_id(run_id)
    assert ids[0].startswith("20260304-120000-")
    assert len({new_run_id(NOON) for _ in range(20)}) == 20


def test_ids_do_not_depend_on_the_time_zone() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=-9)))
    assert new_run_id(elsewhere)[:15] == new_run_id(NOON)[:15]


@pytest.mark.parametrize(
    "run_id", ["a", "0", "A.b_c-d", "x" * 64, "latest2", "run.locked", "com10", "console"]
)
def test_good_ids(run_id: str) -> None:
    check_run_id(run_id)


@pytest.mark.parametrize(
    "run_id",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "/etc",
        ".hidden",
        "-x",
        "a b",
        "ü",
        "x\n",
        "x\0",
        "x" * 65,
        "latest",
        "LATEST",
        "a.",
        "a.lock",
        "a\x1b[31m",
        "con",
        "NUL",
        "Aux.1",
        "lpt9.old",
    ],
)
def test_bad_ids_are_refused_everywhere(runs_dir: Path, run_id: str) -> None:
    with pytest.raises(TpError, match="run id"):
        check_run_id(run_id)
    with pytest.raises(TpError, match="run id"):
        claim_run(runs_dir, run_id)
    assert not runs_dir.exists()


def test_messages_show_no_endless_or_escaping_ids(runs_dir: Path) -> None:
    for text in ("y" * 300, "\x1b]0;title\x07" + "y" * 300):
        for refuse in (check_run_id, lambda text: find_run(runs_dir, text)):
            with pytest.raises(TpError) as caught:
                refuse(text)
            assert len(str(caught.value)) < 220
            assert "\x1b" not in str(caught.value)


# --- claiming ---


def test_claiming_makes_the_directories_of_a_run(runs_dir: Path) -> None:
    run = claim_run(runs_dir / "deep", "one")
    assert run.id == "one"
    assert run.path == runs_dir / "deep" / "one"
    for path in (run.best_val_path, run.last_path, run.previous_path, run.tokenizer_path):
        assert path.parent.is_dir()
    assert run.reports_dir.is_dir()


def test_the_files_of_a_run_have_their_names() -> None:
    run = RunDir(Path("runs/one"))
    names = {
        run.config_path: "config.json",
        run.summary_path: "summary.json",
        run.provenance_path: "provenance.json",
        run.metrics_path: "metrics.jsonl",
        run.samples_path: "samples.jsonl",
        run.lock_path: ".lock",
        run.best_val_path: "checkpoints/best_val.pt",
        run.last_path: "checkpoints/last.pt",
        run.previous_path: "checkpoints/previous.pt",
        run.tokenizer_path: "tokenizer/spm.model",
        run.reports_dir: "reports",
    }
    assert [path.as_posix() for path in names] == [f"runs/one/{name}" for name in names.values()]


def test_an_id_is_claimed_once(runs_dir: Path) -> None:
    run = claim_run(runs_dir, "one")
    run.config_path.write_text("kept")
    with pytest.raises(TpError, match=r"'one' is taken.*'tp runs rm one'"):
        claim_run(runs_dir, "one")
    assert run.config_path.read_text() == "kept"


def test_an_empty_directory_of_someone_else_is_taken(runs_dir: Path) -> None:
    (runs_dir / "one").mkdir(parents=True)
    with pytest.raises(TpError, match="taken"):
        claim_run(runs_dir, "one")
    assert list((runs_dir / "one").iterdir()) == []


def test_of_many_claims_at_once_one_succeeds(runs_dir: Path) -> None:
    def claim(_: int) -> bool:
        try:
            claim_run(runs_dir, "one")
        except TpError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(16))) == 1


def test_a_link_nobody_followed_is_taken_too(runs_dir: Path, tmp_path: Path) -> None:
    runs_dir.mkdir()
    (runs_dir / "one").symlink_to(tmp_path / "nowhere")
    with pytest.raises(TpError, match="taken"):
        claim_run(runs_dir, "one")
    assert not (tmp_path / "nowhere").exists()


def test_a_runs_directory_that_is_a_file(runs_dir: Path) -> None:
    runs_dir.write_text("")
    for place in (runs_dir, runs_dir / "below"):
        with pytest.raises(TpError, match="a file"):
            claim_run(place, "one")
    for use in (list_runs, lambda place: find_run(place, "latest")):
        with pytest.raises(TpError, match="cannot read the runs directory"):
            use(runs_dir)


@pytest.mark.parametrize("exists", [False, True])
def test_a_runs_directory_that_cannot_be_written(
    runs_dir: Path, exists: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if exists:
        runs_dir.mkdir()

    def refuse(path: Path, **_: object) -> None:
        if not path.is_dir():
            raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(TpError, match=r"cannot create .*: Permission denied; choose"):
        claim_run(runs_dir, "one")


# --- finding ---


def test_finding_by_id_by_prefix_and_latest(runs_dir: Path) -> None:
    old = make(runs_dir, "zebra", NOON)
    new = make(runs_dir, "ant", NOON + timedelta(microseconds=1))
    longer = make(runs_dir, "zebra-2", NOON - timedelta(days=1))
    assert find_run(runs_dir, "zebra") == old  # an exact id beats being a prefix of another
    assert find_run(runs_dir, "zebra-") == longer
    assert find_run(runs_dir, "a") == new
    assert find_run(runs_dir, "latest") == new


def test_latest_goes_by_creation_across_time_zones(runs_dir: Path) -> None:
    make(runs_dir, "b", NOON)
    east = NOON.astimezone(timezone(timedelta(hours=9))) + timedelta(seconds=1)
    make(runs_dir, "a", east)
    assert find_run(runs_dir, "latest").id == "a"


@pytest.mark.parametrize("provenance", [None, b"{", b'{"created": 7}', b'{"created": "soon"}'])
def test_latest_without_provenance_goes_by_the_config_file(
    runs_dir: Path, provenance: bytes | None
) -> None:
    for run_id, seconds in (("b", 2000), ("a", 3000)):
        run = make(runs_dir, run_id)
        run.provenance_path.unlink()
        if provenance is not None:
            run.provenance_path.write_bytes(provenance)
        os.utime(run.config_path, (seconds, seconds))
    os.utime(runs_dir / "b", (9000, 9000))
    assert find_run(runs_dir, "latest").id == "a"
    assert [run.created.timestamp() for run in list_runs(runs_dir)] == [2000, 3000]


def test_an_ambiguous_prefix_lists_five(runs_dir: Path) -> None:
    for number in range(7):
        claim_run(runs_dir, f"run-{number}")
    with pytest.raises(TpError) as caught:
        find_run(runs_dir, "run")
    message = str(caught.value)
    assert "7 run ids" in message
    assert re.findall(r"run-\d", message) == [f"run-{number}" for number in range(5)]


def test_an_unknown_id_gets_a_suggestion(runs_dir: Path) -> None:
    claim_run(runs_dir, "baseline")
    with pytest.raises(TpError, match=r"no run 'basline'.*Did you mean 'baseline'\?.*tp runs list"):
        find_run(runs_dir, "basline")
    with pytest.raises(TpError, match="no run 'Baseline'"):
        find_run(runs_dir, "Baseline")


@pytest.mark.parametrize("wanted", ["one", "latest"])
def test_no_runs_directory(runs_dir: Path, wanted: str) -> None:
    with pytest.raises(TpError, match=r"no runs in .*'tp train'"):
        find_run(runs_dir, wanted)
    assert list_runs(runs_dir) == []
    assert not runs_dir.exists()


@pytest.mark.parametrize(
    "wanted", ["../secret", "..", ".", "", "/", "one/../../secret", "runs/one"]
)
def test_no_name_leads_out_of_the_runs_directory(
    runs_dir: Path, tmp_path: Path, wanted: str
) -> None:
    make(tmp_path, "secret")
    claim_run(runs_dir, "one")
    with pytest.raises(TpError, match="not a valid run id"):
        find_run(runs_dir, wanted)


def test_no_link_leads_out_of_the_runs_directory(runs_dir: Path, tmp_path: Path) -> None:
    outside = make(tmp_path / "elsewhere", "secret")
    one = claim_run(runs_dir, "one")
    (runs_dir / "out").symlink_to(outside.path)
    (runs_dir / "self").symlink_to(runs_dir)
    (runs_dir / "inner").symlink_to(one.checkpoints_dir)
    (runs_dir / "loop").symlink_to(runs_dir / "loop")
    (runs_dir / "dangling").symlink_to(tmp_path / "nowhere")
    write_json(runs_dir / "config.json", {})
    write_json(one.checkpoints_dir / "config.json", {})
    for wanted in ("out", "self", "inner", "loop", "dangling", "o" + "u"):
        with pytest.raises(TpError, match="no run"):
            find_run(runs_dir, wanted)
    assert find_run(runs_dir, "latest") == one
    assert [run.id for run in list_runs(runs_dir)] == ["one"]


def test_the_runs_directory_itself_may_be_a_link(runs_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    runs_dir.symlink_to(tmp_path / "scratch")
    run = claim_run(runs_dir, "one")
    assert find_run(runs_dir, "o") == run


# --- listing ---


def log(run: RunDir, *rows: dict[str, object]) -> None:
    with JsonlWriter(run.metrics_path) as writer:
        for row in rows:
            writer.write(row)


VAL = (
    {"step": 10, "split": "val", "loss": 3.0, "bits_per_byte": 2.5},
    {"step": 20, "split": "val", "loss": 2.0, "bits_per_byte": 1.5},
    {"step": 30, "split": "val", "loss": 2.2, "bits_per_byte": 1.6},
    {"step": 30, "split": "train", "loss": 0.1, "bits_per_byte": 0.1},
    {"step": 37, "split": "train", "loss": None},
)


@pytest.mark.parametrize("status", ["finished", "interrupted", "diverged"])
def test_an_ended_run_is_what_its_summary_says(runs_dir: Path, status: str) -> None:
    run = make(runs_dir, "one")
    log(run, *VAL)
    best = {"step": 90, "loss": 1.25, "bits_per_byte": 1.0}
    summary = {"status": status, "step": 95, "parameters": 1234, "best_val": best}
    write_json(run.summary_path, summary)
    (row,) = list_runs(runs_dir)
    assert (row.id, row.created, row.status) == ("one", NOON, status)
    assert (row.step, row.max_steps, row.parameters) == (95, 100, 1234)
    assert (row.best_val_loss, row.best_val_bits_per_byte) == (1.25, 1.0)


def test_a_run_without_a_summary_crashed_or_runs(runs_dir: Path) -> None:
    run = make(runs_dir, "one")
    log(run, *VAL)
    (row,) = list_runs(runs_dir)
    assert row.status == "crashed"
    assert (row.step, row.best_val_loss, row.best_val_bits_per_byte) == (37, 2.0, 1.5)
    with lock(run):
        (row,) = list_runs(runs_dir)
        assert row.status == "running"
        # A resumed training still has the summary of the one before.
        write_json(run.summary_path, {"status": "interrupted", "step": 5})
        (row,) = list_runs(runs_dir)
        assert (row.status, row.step) == ("running", 37)
    (row,) = list_runs(runs_dir)
    assert (row.status, row.step) == ("interrupted", 5)


def test_listing_is_in_order_of_creation(runs_dir: Path) -> None:
    for number, run_id in enumerate(("c", "a", "b")):
        make(runs_dir, run_id, NOON + timedelta(seconds=number))
    assert [run.id for run in list_runs(runs_dir)] == ["c", "a", "b"]


def test_half_written_and_foreign_directories(runs_dir: Path) -> None:
    claim_run(runs_dir, "bare")
    odd = make(runs_dir, "odd")
    write_json(odd.config_path, {"train": "fast"})
    write_json(odd.provenance_path, {"created": [1]})
    odd.summary_path.write_text('{"status": ["finished"], "best_val": 3, "step": true}')
    odd.metrics_path.write_text('{"step": "x", "split": "val", "loss": "y"}\n')
    torn = make(runs_dir, "torn")
    torn.config_path.write_bytes(b"\xff\xfe")
    torn.summary_path.write_text('{"status": "fini')
    torn.metrics_path.write_text('bad\n{"step": 1}\n')
    (runs_dir / "plots").mkdir()
    (runs_dir / ".cache").mkdir()
    (runs_dir / "notes.txt").write_text("mine")
    rows = {row.id: row for row in list_runs(runs_dir)}
    assert set(rows) == {"bare", "odd", "torn"}
    for row in rows.values():
        assert row.status == "crashed"
        assert (row.step, row.best_val_loss, row.parameters) == (None, None, None)
        assert row.created.tzinfo is not None


def test_what_cannot_be_looked_at_is_passed_over(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(runs_dir, "one")
    make(runs_dir, "other")
    really = Path.is_dir

    def is_dir(path: Path, **options: bool) -> bool:
        if path.name == "other":
            raise PermissionError(13, "Permission denied")
        return really(path, **options)

    monkeypatch.setattr(Path, "is_dir", is_dir)
    assert [run.id for run in list_runs(runs_dir)] == ["one"]


# --- the lock ---

HOLD = """
import sys
from pathlib import Path
from tp_core.runs.directory import RunDir, lock

with lock(RunDir(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_trains_a_run_and_a_kill_frees_it(runs_dir: Path) -> None:
    run = make(runs_dir, "one")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        held = pytest.raises(TpError, match="run 'one' is being trained by another process")
        with held, lock(run):
            raise AssertionError("two processes hold the lock")
        assert [row.status for row in list_runs(runs_dir)] == ["running"]
        process.kill()
        process.wait()
    assert [row.status for row in list_runs(runs_dir)] == ["crashed"]
    with lock(run):
        pass


def test_the_lock_is_released_when_training_fails(runs_dir: Path) -> None:
    run = make(runs_dir, "one")
    with pytest.raises(ZeroDivisionError), lock(run):
        raise ZeroDivisionError
    with lock(run):
        pass


def test_listing_creates_nothing(runs_dir: Path) -> None:
    run = make(runs_dir, "one")
    before = sorted(run.path.rglob("*"))
    list_runs(runs_dir)
    assert sorted(run.path.rglob("*")) == before


def test_a_lock_that_cannot_be_made(runs_dir: Path) -> None:
    run = make(runs_dir, "one")
    run.lock_path.mkdir()
    with pytest.raises(TpError, match="cannot lock"), lock(run):
        pass
    assert [row.status for row in list_runs(runs_dir)] == ["crashed"]


def test_runs_import_no_torch() -> None:
    code = (
        "import sys, tp_core.runs.directory, tp_core.runs.jsonl, tp_core.runs.provenance; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- deleting ---


def test_a_removed_run_is_gone_with_all_its_files(runs_dir: Path) -> None:
    make(runs_dir, "one")
    remove_run(make(runs_dir, "two"))
    assert [path.name for path in runs_dir.iterdir()] == ["one"]


def test_a_run_that_cannot_be_removed_says_so(runs_dir: Path) -> None:
    run = make(runs_dir, "one")
    remove_run(run)
    with pytest.raises(RunFailed, match="cannot delete"):
        remove_run(run)
