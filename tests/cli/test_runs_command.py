"""`tp runs list`, `show` and `rm`, on runs as they are left on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_runner import Done, Run

from tp_core.files import write_json
from tp_core.runs.directory import RunDir, claim_run, lock

CONFIG = {
    "schema_version": 1,
    "data": {"path": "phrases.txt"},
    "model": {
        "d_model": 32,
        "tie_embeddings": True,
        "attention": {"name": "softmax", "bias": False},
        "pattern": [],
        "layers": {},
    },
    "train": {"max_steps": 200, "optimizer": {"name": "adamw"}},
    "sampling": {"samplers": [{"name": "temperature"}, {"name": "top_p", "p": 0.9}]},
}
SUMMARY = {
    "status": "finished",
    "step": 200,
    "parameters": 28736,
    "best_val": {"step": 150, "loss": 3.14159265, "bits_per_byte": 2.5},
    "samples": ["two  spaces", "a\x1b[31m colour"],
    "perf": {"memory_mib": None},
}
PROVENANCE = {
    "created": "2026-03-04T12:00:00+00:00",
    "command": ["tp", "train", "--set", "data.path=a b.txt"],
    "versions": {"torch": "2.5.0"},
    "components": [
        {
            "kind": "attention",
            "name": "softmax",
            "distribution": "transformer-playground",
            "version": "0.1.0",
        },
        {"kind": "mlp", "name": "tp-good:relu2", "distribution": "tp-good", "version": "0.3.0"},
    ],
}


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def make(runs_dir: Path, run_id: str, summary: dict[str, Any] | None = SUMMARY) -> RunDir:
    run = claim_run(runs_dir, run_id)
    write_json(run.config_path, CONFIG)
    write_json(run.provenance_path, PROVENANCE)
    if summary is not None:
        write_json(run.summary_path, summary)
    run.best_val_path.write_bytes(b"x" * 125_762)
    run.last_path.write_bytes(b"x" * 999)
    return run


def test_no_runs(tp: Run, runs_dir: Path) -> None:
    done = tp("runs", "list", "--runs-dir", runs_dir)
    assert (done.code, done.out) == (0, "")
    assert "no runs in" in done.err
    assert json.loads(tp("runs", "list", "--runs-dir", runs_dir, "--json").out)["runs"] == []


def test_list(tp: Run, runs_dir: Path) -> None:
    make(runs_dir, "first")
    make(runs_dir, "second", None)
    done = tp("runs", "list", "--runs-dir", runs_dir)
    assert (done.code, done.err) == (0, "")
    assert [line.split() for line in done.out.splitlines()] == [
        ["id", "status", "step", "loss", "bits/byte", "parameters"],
        ["first", "finished", "200/200", "3.1416", "2.5000", "28.7k"],
        ["second", "crashed", "?/200", "-", "-", "-"],
    ]


def test_list_as_json(tp: Run, runs_dir: Path) -> None:
    make(runs_dir, "first")
    data = json.loads(tp("runs", "list", "--runs-dir", runs_dir, "--json").out)
    assert data == {
        "schema_version": 1,
        "runs": [
            {
                "id": "first",
                "created": "2026-03-04T12:00:00+00:00",
                "status": "finished",
                "step": 200,
                "max_steps": 200,
                "best_val_loss": 3.14159265,
                "best_val_bits_per_byte": 2.5,
                "parameters": 28736,
            }
        ],
    }


def three(runs_dir: Path) -> None:
    """`a`, `b` and `c`, in that order of dates, with other settings each."""
    for day, (name, loss, rate, window) in enumerate(
        [("a", 2.0, 0.01, None), ("b", 1.0, 0.1, 8), ("c", 3.0, 0.001, None)]
    ):
        run = make(runs_dir, name, {**SUMMARY, "best_val": {"loss": loss, "bits_per_byte": loss}})
        attention = {"name": "linear" if name == "c" else "softmax"}
        attention |= {} if name == "c" else {"window": window}
        config = {**CONFIG, "train": {"learning_rate": rate, "max_steps": 200}}
        write_json(run.config_path, {**config, "model": {"attention": attention, "tied": True}})
        write_json(run.provenance_path, {"created": f"2026-03-0{day + 1}T12:00:00+00:00"})


def ids(done: Done) -> str:
    assert done.code == 0, done.err
    return "".join(line.split()[0] for line in done.out.splitlines()[1:])


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], "abc"),
        (["--reverse"], "cba"),
        (["--sort", "loss"], "bac"),
        (["--sort", "loss", "--reverse"], "cab"),
        (["--sort", "train.learning_rate"], "cab"),
        (["--sort", "id", "--reverse"], "cba"),
        (["--sort", "model.attention"], "cab"),
        (["--sort", "model.attention.window"], "bac"),
        (["--sort", "model.attention.window", "--reverse"], "bac"),
        (["--where", "model.attention=softmax"], "ab"),
        (["--where", "model.attention.name=linear"], "c"),
        (["--where", "model.attention=softmax", "--where", "train.learning_rate=1e-2"], "a"),
        (["--where", "model.attention.window=8"], "b"),
        (["--where", "model.attention.window=null"], "a"),
        (["--where", "model.tied=true", "--sort", "bits_per_byte"], "bac"),
        (["--where", "sampling.samplers.1=top_p"], "abc"),
    ],
)
def test_list_sorts_and_filters(tp: Run, runs_dir: Path, args: list[str], expected: str) -> None:
    three(runs_dir)
    assert ids(tp("runs", "list", "--runs-dir", runs_dir, *args)) == expected


def test_keys_that_were_asked_for_are_shown(tp: Run, runs_dir: Path) -> None:
    three(runs_dir)
    args = ["--where", "model.attention=softmax", "--sort", "train.learning_rate"]
    head, first, _ = tp("runs", "list", "--runs-dir", runs_dir, *args).out.splitlines()
    assert head.split()[-2:] == ["model.attention", "train.learning_rate"]
    assert first.split()[-2:] == ["softmax", "0.01"]
    data = json.loads(tp("runs", "list", "--runs-dir", runs_dir, *args, "--json").out)
    assert data["runs"][0]["config"]["train.learning_rate"] == 0.01


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--sort", "train.learning_rat"], "Did you mean 'train.learning_rate'?"),
        (["--sort", "los"], "Did you mean 'loss'?"),
        (["--where", "model.atention=softmax"], "Did you mean 'model.attention'?"),
        (["--where", "model.attention"], "write it as section.key=value"),
    ],
)
def test_list_refuses_a_key_there_is_not(
    tp: Run, runs_dir: Path, args: list[str], words: str
) -> None:
    three(runs_dir)
    done = tp("runs", "list", "--runs-dir", runs_dir, *args)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_list_says_when_nothing_is_as_wanted(tp: Run, runs_dir: Path) -> None:
    three(runs_dir)
    done = tp("runs", "list", "--runs-dir", runs_dir, "--where", "model.attention=mla")
    assert (done.code, done.out) == (0, "")
    assert "none of the 3 runs" in done.err


def test_rm_deletes_the_runs_it_is_given(tp: Run, runs_dir: Path) -> None:
    three(runs_dir)
    done = tp("runs", "rm", "a", "c", "--yes", "--runs-dir", runs_dir)
    assert done.code == 0
    assert [path.name for path in runs_dir.iterdir()] == ["b"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["a", "nope", "--yes"], "no run 'nope'"),
        (["a", "lon", "--yes"], "--yes requires full run ids: write long"),
        (["a"], "confirm with --yes"),
        (["../a", "--yes"], "not a valid run id"),
        (["a", "held", "--yes"], "run 'held' is still training"),
    ],
)
def test_rm_deletes_all_or_nothing(tp: Run, runs_dir: Path, args: list[str], words: str) -> None:
    for name in ("a", "long", "held"):
        make(runs_dir, name)
    with lock(RunDir(runs_dir / "held")):
        done = tp("runs", "rm", *args, "--runs-dir", runs_dir)
    assert done.code == 2
    assert words in done.err
    assert len(list(runs_dir.iterdir())) == 3


def test_the_runs_directory_is_here_by_default(
    tp: Run, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(runs_dir, "first")
    monkeypatch.chdir(runs_dir.parent)
    assert "first" in tp("runs", "list").out
    assert tp("runs", "show", "latest").code == 0


def test_show(tp: Run, runs_dir: Path) -> None:
    make(runs_dir, "first")
    done = tp("runs", "show", "fir", "--runs-dir", runs_dir)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "first: finished, step 200/200"
    for expected in (
        "best validation loss 3.1416 (2.5000 bits/byte)",
        "  data: path=phrases.txt",
        "  model: d_model=32 tie_embeddings=true attention=softmax",
        "  train: max_steps=200 optimizer=adamw",
        "  sampling: samplers=temperature,top_p",
        "  best_val.loss = 3.14159",
        "  best_val.step = 150",
        "  samples.0 = two  spaces",
        r"  samples.1 = a\x1b[31m colour",
        "  perf.memory_mib = null",
        "  attention: softmax, from transformer-playground 0.1.0",
        "  mlp: tp-good:relu2, from tp-good 0.3.0",
        "  command = tp train --set 'data.path=a b.txt'",
        "  versions.torch = 2.5.0",
        "  checkpoints/best_val.pt: 126 kB",
        "  checkpoints/last.pt: 999 B",
    ):
        assert expected in lines
    assert "\x1b" not in done.out


def test_show_as_json(tp: Run, runs_dir: Path) -> None:
    make(runs_dir, "first")
    data = json.loads(tp("runs", "show", "first", "--runs-dir", runs_dir, "--json").out)
    assert data["config"] == CONFIG
    assert data["summary"] == SUMMARY
    assert data["provenance"] == PROVENANCE
    assert data["run"]["id"] == "first"
    assert data["run"]["checkpoints"] == [
        {"file": "checkpoints/best_val.pt", "bytes": 125762},
        {"file": "checkpoints/last.pt", "bytes": 999},
    ]


def test_show_what_a_damaged_run_still_says(tp: Run, runs_dir: Path) -> None:
    run = make(runs_dir, "first", None)
    run.config_path.write_text('{"model": ')
    done = tp("runs", "show", "first", "--runs-dir", runs_dir)
    assert done.code == 0
    assert done.err.startswith("Warning: ")
    assert "config.json is damaged" in done.err
    assert "first: crashed" in done.out
    assert "softmax, from transformer-playground" in done.out
    data = json.loads(tp("runs", "show", "first", "--runs-dir", runs_dir, "--json").out)
    assert (data["config"], data["summary"]) == (None, None)


def test_show_an_empty_run(tp: Run, runs_dir: Path) -> None:
    claim_run(runs_dir, "empty")
    done = tp("runs", "show", "empty", "--runs-dir", runs_dir)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("empty: crashed, step ?/?\n")


def test_show_survives_files_of_another_shape(tp: Run, runs_dir: Path) -> None:
    run = make(runs_dir, "first", {"status": 3, "best_val": [{"loss": True}], "step": "many"})
    write_json(run.config_path, {"model": [1], "train": {"max_steps": {"a": [None]}}})
    write_json(run.provenance_path, {"components": {"kind": 1}, "created": 5})
    done = tp("runs", "show", "first", "--runs-dir", runs_dir)
    assert (done.code, done.err) == (0, "")
    assert "  best_val.0.loss = true" in done.out.splitlines()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("nope", "no run 'nope'"), ("a", "matches 2 run ids"), ("../up", "not a valid run id")],
)
def test_show_a_run_there_is_not(tp: Run, runs_dir: Path, wanted: str, message: str) -> None:
    make(runs_dir, "a1")
    make(runs_dir, "a2")
    done = tp("runs", "show", wanted, "--runs-dir", runs_dir)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
