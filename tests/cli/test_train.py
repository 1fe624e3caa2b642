"""`tp train` from the outside: what it says, what it leaves, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_runner import Done, Run
from tiny_runs import phrases, write_config

Train = Callable[..., Done]
FAULTY = Path(__file__).parents[1] / "training" / "distributions" / "tp-faulty"


@pytest.fixture
def tp_train(tp: Run, tmp_path: Path) -> Train:
    """`tp train` on a tiny config, with these changes and these arguments."""

    def run(*args: str, changes: dict[str, Any] | None = None, **more: Any) -> Done:
        config = write_config(tmp_path, changes)
        return tp("train", "--config", config, "--runs-dir", tmp_path / "runs", *args, **more)

    return run


def assert_refused(done: Done, runs: Path, *words: str, most_lines: int = 3) -> None:
    assert done.code == 2
    assert done.out == ""
    for word in words:
        assert word in done.err
    assert "Traceback" not in done.err
    assert "internal error" not in done.err
    assert len(done.err.strip().splitlines()) <= most_lines, done.err
    assert not runs.exists()


def test_a_run(tp_train: Train, tmp_path: Path) -> None:
    done = tp_train("--run-id", "mine")
    assert (done.code, done.out) == (0, "mine\n")
    run = tmp_path / "runs" / "mine"
    files = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file() and p.name != ".lock"}
    assert files == {
        "config.json",
        "metrics.jsonl",
        "provenance.json",
        "samples.jsonl",
        "summary.json",
        "tokenizer/spm.model",
        *(f"checkpoints/{name}.pt" for name in ("best_val", "last", "previous")),
    }
    for words in ("run mine: ", "step 0/4", "step 4/4", "bits per byte", "samples:"):
        assert words in done.err
    provenance = json.loads((run / "provenance.json").read_text())
    assert {c["name"] for c in provenance["components"]} >= {"rope", "softmax", "adamw", "top_p"}
    assert provenance["data"]["used"]["val"] > 0
    samples = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    assert [s["row"] for s in samples] == [0, 1, 2, 3, 4] * 2
    assert {s["stopped"] for s in samples} <= {"end", "length"}


def test_a_run_gets_a_name(tp_train: Train, tmp_path: Path) -> None:
    done = tp_train("--set", "train.max_steps=2")
    assert done.code == 0
    assert [p.name for p in (tmp_path / "runs").iterdir()] == [done.out.strip()]


def test_its_config_trains_the_same_run(tp: Run, tp_train: Train, tmp_path: Path) -> None:
    """`config.json` says everything: a run made from it is the same run."""
    assert tp_train("--run-id", "a", "--set", "model.mlp=gelu").code == 0
    runs = tmp_path / "runs"
    done = tp("train", "--config", runs / "a" / "config.json", "--runs-dir", runs, "--run-id", "b")
    assert done.code == 0
    for name in ("config.json", "samples.jsonl"):
        assert (runs / "a" / name).read_bytes() == (runs / "b" / name).read_bytes()


def test_dry_run(tp_train: Train, tmp_path: Path) -> None:
    done = tp_train("--dry-run", "--set", "model.n_layers=3")
    assert done.code == 0
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["0", "1", "2"]
    assert tp_train("--run-id", "r", "--set", "model.n_layers=3").code == 0
    summary = json.loads((tmp_path / "runs" / "r" / "summary.json").read_text())
    assert f"{summary['parameters']:,} (" in done.out
    assert "tokens per step" in done.out
    assert "memory" in done.out


def test_a_dry_run_of_what_needs_real_numbers_to_be_built(
    tp: Run, tp_train: Train, tmp_path: Path
) -> None:
    """A constructor that reads its start values, and one that fails."""
    net = {"name": "tp-faulty:net", "how": "reads"}
    done = tp_train("--dry-run", changes={"model.mlp": net}, plugins=(FAULTY,))
    assert done.code == 0
    assert "unknown (" not in done.out
    net["how"] = "constructor"
    done = tp_train("--dry-run", changes={"model.mlp": net}, plugins=(FAULTY,))
    assert_refused(done, tmp_path / "runs", "mlp 'tp-faulty:net' can't be built: TypeError")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_full_disk_is_said(
    more: tuple[str, ...], tp_train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        done = tp_train("--set", "train.max_steps=2", *more)
    assert done.code == 1
    assert "Error: cannot write to stdout: No space left" in done.err


def test_a_dry_run_writes_nothing(tp_train: Train, tmp_path: Path) -> None:
    assert tp_train("--dry-run").code == 0
    assert not (tmp_path / "runs").exists()


DATA = {
    "empty": (b"", "phrases: is empty"),
    "blank": (b"\n  \n\t\n", "phrases: is only blank lines"),
    "utf16": ("the moon\n".encode("utf-16"), "looks like UTF-16"),
    "latin1": ("one\ncafé\n".encode("latin-1"), "phrases:2: byte 0xe9 is not valid UTF-8"),
    "space mark": ("one\ntwo \u2581 three\n".encode(), "phrases:2: the character U+2581"),
    "too few": (b"one\ntwo\n", "split empty"),
    "overlong": (("x" * 400 + "\n" + "\n".join(phrases())).encode(), "phrases:1: "),
}


@pytest.mark.parametrize("case", DATA)
def test_bad_data(case: str, tp_train: Train, tmp_path: Path) -> None:
    content, message = DATA[case]
    path = tmp_path / "phrases"
    path.write_bytes(content)
    done = tp_train(changes={"data.path": str(path)})
    assert_refused(done, tmp_path / "runs", message)


@pytest.mark.parametrize(
    ("name", "message"), [("absent.txt", "no such file"), (".", "is a directory")]
)
def test_no_data(name: str, message: str, tp_train: Train, tmp_path: Path) -> None:
    done = tp_train(changes={"data.path": str(tmp_path / name)})
    assert_refused(done, tmp_path / "runs", message, "data.path")


def test_an_overlong_phrase_may_be_dropped(tp_train: Train, tmp_path: Path) -> None:
    path = tmp_path / "phrases"
    path.write_text("\n".join(["x" * 400, *phrases()]), encoding="utf-8")
    done = tp_train(changes={"data.path": str(path), "data.overlong": "drop"})
    assert done.code == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--set", "train.lerning_rate=1"], ["lerning_rate", "learning_rate"]),
        (["--set", "model.mlp=swigloo"], ["swigloo", "swiglu"]),
        (["--set", "tokenizer.vocab_size=50"], ["tokenizer.vocab_size = 50 is too small"]),
        (["--set", "train.device=cuda:7"], ['this machine has no "cuda:7"']),
        (["--set", "train.device=gpu"], ["train.device"]),
        (["--set", "train.max_steps=0"], ["train.max_steps"]),
        (["--set", "train.learning_rate=nan"], ["train.learning_rate", "finite"]),
        (["--run-id", "../x"], ["is not a run id"]),
        (["--run-id", ""], ["is not a run id"]),
        (["--run-id", "x" * 300], ["is not a run id"]),
        (["--run-id", "latest"], ["reserved"]),
    ],
)
def test_bad_settings(args: list[str], words: list[str], tp_train: Train, tmp_path: Path) -> None:
    assert_refused(tp_train(*args), tmp_path / "runs", *words)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_no_gpu(tp_train: Train, tmp_path: Path) -> None:
    done = tp_train("--set", "train.device=cuda")
    assert_refused(done, tmp_path / "runs", 'this machine has no "cuda"', '"auto"')


def test_a_run_id_that_is_taken(tp_train: Train, tmp_path: Path) -> None:
    taken = tmp_path / "runs" / "mine"
    taken.mkdir(parents=True)
    (taken / "file").write_text("precious")
    done = tp_train("--run-id", "mine")
    assert done.code == 2
    assert "already exists" in done.err
    assert [p.name for p in taken.iterdir()] == ["file"]


def test_a_runs_dir_that_is_a_file(tp_train: Train, tp: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    config = write_config(tmp_path)
    for runs_dir in (file, file / "below"):
        done = tp("train", "--config", config, "--runs-dir", runs_dir)
        assert done.code == 2
        assert "is, or lies below, a file" in done.err
    assert file.read_text() == "precious"


def test_no_config(tp: Run) -> None:
    done = tp("train")
    assert done.code == 2
    assert "--config FILE" in done.err
    assert "--resume" in done.err


def test_resume_of_what_is_not_there(tp: Run, tmp_path: Path) -> None:
    for wanted in ("nothing", "../x", "", "x" * 300):
        done = tp("train", "--resume", wanted, "--runs-dir", tmp_path)
        assert done.code == 2
        assert len(done.err.splitlines()) == 1
