"""Checkpoints: what is saved is loaded, and what damage, kills and full disks do to it."""

from __future__ import annotations

import errno
import logging
import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tp_core.errors import RunFailed, TpError
from tp_core.runs.checkpoint import FORMAT, load_checkpoint, load_last, save_checkpoint
from tp_core.runs.directory import RunDir, claim_run


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return claim_run(tmp_path, "one")


def payload(step: int) -> dict[str, Any]:
    return {"step": step, "weights": torch.full((64,), float(step)), "config": '{"a": "é"}'}


def save(run: RunDir, step: int) -> None:
    save_checkpoint(run.last_path, payload(step), keep=run.previous_path)


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    plain = {key: value for key, value in left.items() if key != "weights"}
    return plain == {
        key: value for key, value in right.items() if key != "weights"
    } and torch.equal(left["weights"], right["weights"])


def files(run: RunDir) -> list[str]:
    return sorted(path.name for path in run.checkpoints_dir.iterdir())


# --- round trip ---


def test_models_and_optimizers_round_trip(run: RunDir) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95))
    model(torch.ones(2, 3)).square().sum().backward()
    optimizer.step()
    tied = torch.arange(4)
    saved = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "plain": {"none": None, "true": True, "list": [1, (2.5, "x")], 7: float("inf")},
        "ordered": OrderedDict(a=nn.Parameter(torch.zeros(1))),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "tied": [tied, tied],
    }
    save_checkpoint(run.best_val_path, saved)
    loaded = load_checkpoint(run.best_val_path)
    assert loaded["format"] == FORMAT
    assert loaded["plain"] == saved["plain"]
    assert loaded["half"].dtype is torch.bfloat16
    assert loaded["tied"][0].data_ptr() == loaded["tied"][1].data_ptr()
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded["model"][name], tensor)
    again = torch.optim.AdamW(model.parameters())
    again.load_state_dict(loaded["optimizer"])
    assert again.param_groups[0]["betas"] == (0.9, 0.95)
    assert files(run) == ["best_val.pt"]


def test_the_same_payload_makes_the_same_bytes(run: RunDir) -> None:
    save_checkpoint(run.last_path, payload(1))
    save_checkpoint(run.best_val_path, payload(1))
    assert run.last_path.read_bytes() == run.best_val_path.read_bytes()


def test_a_loaded_checkpoint_can_be_saved_again(run: RunDir) -> None:
    save(run, 1)
    save_checkpoint(run.best_val_path, load_checkpoint(run.last_path))
    assert run.best_val_path.read_bytes() == run.last_path.read_bytes()


@pytest.mark.parametrize(
    ("bad", "place"),
    [
        ({"x": np.float64(1.0)}, r"\['x'\] is a float64"),
        ({"x": [1, {"y": np.zeros(2)}]}, r"\['x'\]\[1\]\['y'\] is a ndarray"),
        ({"x": Path("a")}, "Path"),
        ({"x": nn.Linear(1, 1)}, "Linear"),
        ({"x": {(1, 2): 3}}, r"\['x'\] has the key \(1, 2\)"),
        ({"x": {1, 2}}, "set"),
        ({"x": torch.Size([1])}, "Size"),
    ],
)
def test_what_no_safe_load_takes_is_not_saved(run: RunDir, bad: dict[str, Any], place: str) -> None:
    save(run, 1)
    with pytest.raises(TypeError, match=place):
        save_checkpoint(run.last_path, bad, keep=run.previous_path)
    assert files(run) == ["last.pt"]


def test_keep_holds_the_one_before(run: RunDir) -> None:
    for step in (1, 2, 3):
        save(run, step)
    assert same(load_checkpoint(run.last_path), {**payload(3), "format": FORMAT})
    assert same(load_checkpoint(run.previous_path), {**payload(2), "format": FORMAT})
    assert files(run) == ["last.pt", "previous.pt"]


# --- damage ---


def test_no_flipped_bit_goes_unnoticed(run: RunDir) -> None:
    """Every byte in turn: the load refuses, or the byte meant nothing (a date, padding)."""
    save(run, 1)
    good, whole = load_checkpoint(run.last_path), run.last_path.read_bytes()
    messages, refused = set[str](), 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position % 8)
        run.last_path.write_bytes(damaged)
        try:
            loaded = load_checkpoint(run.last_path)
        except TpError as error:
            messages.add(str(error))
            refused += 1
        else:
            assert same(loaded, good)
    assert all("last.pt" in message and "\n" not in message for message in messages)
    assert refused > 500


def test_a_flipped_bit_in_a_weight_is_refused_by_name(run: RunDir) -> None:
    save(run, 1)
    whole = run.last_path.read_bytes()
    weights = payload(1)["weights"].numpy().tobytes()
    position = whole.index(weights) + 40
    run.last_path.write_bytes(
        whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]
    )
    torch.load(run.last_path, weights_only=True)  # which takes it, hence all this
    with pytest.raises(TpError, match=r"last\.pt is damaged.*checksum of .*data/0"):
        load_checkpoint(run.last_path)


def test_every_truncation_is_refused(run: RunDir) -> None:
    save(run, 1)
    whole = run.last_path.read_bytes()
    for length in (*range(0, len(whole), 37), len(whole) - 1):
        run.last_path.write_bytes(whole[:length])
        with pytest.raises(TpError, match=r"last\.pt is damaged or not a checkpoint"):
            load_checkpoint(run.last_path)


class Intruder:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("intruder-was-here",))


def test_files_that_are_no_checkpoints(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.pt"
    with pytest.raises(TpError, match=r"no checkpoint .*x\.pt: 'tp runs list'"):
        load_checkpoint(path)
    with pytest.raises(TpError, match="cannot read checkpoint"):
        load_checkpoint(tmp_path)
    path.write_bytes(pickle.dumps({"step": 1}))
    with pytest.raises(TpError, match="not a checkpoint"):
        load_checkpoint(path)
    for foreign in (torch.zeros(3), {"step": 1}, {"format": "1"}, {"format": True}):
        torch.save(foreign, path)
        with pytest.raises(TpError, match="not a checkpoint of 'tp train'"):
            load_checkpoint(path)
    torch.save({"format": 1, "x": Intruder()}, path)
    with pytest.raises(TpError, match=r"x\.pt cannot be loaded"):
        load_checkpoint(path)
    assert not (tmp_path / "intruder-was-here").exists()


def test_a_newer_format_asks_for_an_upgrade(run: RunDir) -> None:
    save(run, 1)
    save(run, 2)
    torch.save({**payload(3), "format": FORMAT + 1}, run.last_path)
    for load in (lambda: load_checkpoint(run.last_path), lambda: load_last(run)):
        with pytest.raises(TpError, match=rf"format {FORMAT + 1}.*pip install --upgrade"):
            load()


def test_tensors_go_where_they_are_wanted(run: RunDir) -> None:
    save(run, 1)
    assert load_checkpoint(run.last_path)["weights"].device.type == "cpu"
    assert load_checkpoint(run.last_path, map_location="meta")["weights"].device.type == "meta"


# --- last and previous ---


def test_load_last_takes_last(run: RunDir, caplog: pytest.LogCaptureFixture) -> None:
    save(run, 1)
    save(run, 2)
    loaded, path = load_last(run)
    assert (loaded["step"], path) == (2, run.last_path)
    assert caplog.records == []


@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign"])
def test_load_last_falls_back_with_a_warning(
    run: RunDir, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    save(run, 1)
    save(run, 2)
    if damage == "missing":
        run.last_path.unlink()
    elif damage == "truncated":
        run.last_path.write_bytes(run.last_path.read_bytes()[:-100])
    else:
        torch.save({"step": 3}, run.last_path)
    with caplog.at_level(logging.WARNING):
        loaded, path = load_last(run)
    assert (loaded["step"], path) == (1, run.previous_path)
    (record,) = caplog.records
    assert "last.pt" in record.getMessage()
    assert "previous.pt" in record.getMessage()


def test_load_last_with_nothing_to_fall_back_on(run: RunDir) -> None:
    with pytest.raises(TpError, match=r"no checkpoint .*last\.pt"):
        load_last(run)
    save(run, 1)
    run.last_path.write_bytes(b"")
    with pytest.raises(TpError, match=r"last\.pt is damaged"):
        load_last(run)
    run.previous_path.write_bytes(b"")
    with pytest.raises(TpError, match=r"previous\.pt is damaged"):
        load_last(run)


def test_a_damaged_last_never_pushes_out_a_good_previous(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(run, 1)
    save(run, 2)
    run.last_path.write_bytes(run.last_path.read_bytes()[:-100])
    save(run, 3)
    assert load_checkpoint(run.last_path)["step"] == 3
    assert load_checkpoint(run.previous_path)["step"] == 1


# --- failures while saving ---


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("where", ["torch.save", "os.fsync"])
@pytest.mark.parametrize("interrupt", [False, True])
def test_a_failed_save_changes_nothing(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, error: OSError, where: str, interrupt: bool
) -> None:
    save(run, 1)
    save(run, 2)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt if interrupt else error

    with monkeypatch.context() as patch:
        patch.setattr(where, fail)
        with pytest.raises(KeyboardInterrupt if interrupt else RunFailed) as caught:
            save(run, 3)
    if not interrupt:
        assert "last.pt: No space left on device" in str(caught.value)
    assert [load_checkpoint(path)["step"] for path in (run.last_path, run.previous_path)] == [2, 1]
    assert files(run) == ["last.pt", "previous.pt"]


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("failing", [1, 2])
def test_a_failed_rename_is_taken_back(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, error: BaseException, failing: int
) -> None:
    save(run, 1)
    save(run, 2)
    rename, calls = Path.replace, 0

    def replace(path: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise error
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises((RunFailed, KeyboardInterrupt)):
            save(run, 3)
    assert calls >= failing
    loaded, path = load_last(run)
    assert (loaded["step"], path) == (2, run.last_path)
    assert all(not name.startswith(".") for name in files(run))


def test_every_later_rename_failing_leaves_one_to_load(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(run, 1)
    save(run, 2)
    rename, calls = Path.replace, 0

    def replace(path: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(RunFailed, match="Input/output error"):
            save(run, 3)
    loaded, path = load_last(run)
    assert (loaded["step"], path) == (2, run.previous_path)


SAVE = """
import os, signal, sys
from pathlib import Path
import torch
from tp_core.runs.checkpoint import save_checkpoint
from tp_core.runs.directory import RunDir

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def save(run, moment):
    rename, calls = Path.replace, []
    def replace(path, target):
        calls.append(target)
        if moment == f"before rename {len(calls)}":
            die()
        result = rename(path, target)
        if moment == f"after rename {len(calls)}":
            die()
        return result
    Path.replace = replace
    if moment == "before sync":
        os.fsync = die
    save_checkpoint(run.last_path, {"step": 3, "weights": torch.ones(9)}, run.previous_path)

# One import of torch for all: each save dies in a process of its own.
for directory, moment in zip(sys.argv[1::2], sys.argv[2::2]):
    child = os.fork()
    if child == 0:
        save(RunDir(Path(directory)), moment)
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, moment
"""
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and file size limits")


@needs_posix
def test_a_process_killed_anywhere_in_a_save_leaves_one_to_load(tmp_path: Path) -> None:
    # The moment of the kill, the step there is to load after it, the temporary files left.
    moments = {
        "before sync": (2, 1),
        "before rename 1": (2, 1),
        "after rename 1": (2, 1),
        "before rename 2": (2, 1),
        "after rename 2": (3, 0),
    }
    runs = {moment: claim_run(tmp_path, moment.replace(" ", "-")) for moment in moments}
    arguments = []
    for moment, run in runs.items():
        save(run, 1)
        save(run, 2)
        arguments += [str(run.path), moment]
    subprocess.run([sys.executable, "-c", SAVE, *arguments], check=True)
    for moment, (step, temporary) in moments.items():
        run = runs[moment]
        assert load_last(run)[0]["step"] == step, moment
        assert sum(name.startswith(".") for name in files(run)) == temporary, moment
        save_checkpoint(run.best_val_path, payload(4))  # of another name, and still it cleans up
        assert not any(name.startswith(".") for name in files(run)), moment
        save(run, 5)
        assert load_checkpoint(run.last_path)["step"] == 5


@needs_posix
def test_a_full_disk_names_the_reason_and_keeps_what_was_there(run: RunDir) -> None:
    import resource

    save(run, 1)
    save(run, 2)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(RunFailed, match=r"last\.pt: File too large; the previous checkpoint"):
            save_checkpoint(run.last_path, {"x": torch.zeros(100_000)}, run.previous_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [load_checkpoint(path)["step"] for path in (run.last_path, run.previous_path)] == [2, 1]
    assert files(run) == ["last.pt", "previous.pt"]


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="cannot write checkpoint"):
        save_checkpoint(tmp_path / "no" / "last.pt", payload(1))
