"""`tp report` from the outside: what it prints and saves, where its settings are from, what it
refuses."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_runner import Done, Run
from tiny_runs import train

from tp_core.data.tokenizer import Tokenizer

Report = Callable[..., Done]
CHANGES: dict[str, Any] = {
    "train.max_steps": 30,
    "train.eval_interval": 10,
    "train.checkpoint_interval": 10,
    "train.sample_interval": 0,
    "train.seed": 5,
    "sampling.max_new_tokens": 7,
    "report.metrics": ["likelihood", "unique_rate", "exact_copies"],
}
FEW = ("--n-samples", "12")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("report"), "mine", changes=CHANGES).path.parent


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be reported on or spoilt; its phrases stay where they are."""
    return Path(shutil.copytree(trained, tmp_path / "runs"))


@pytest.fixture
def report(tp: Run, runs: Path) -> Report:
    def run(*args: str) -> Done:
        return tp("report", "--runs-dir", runs, *args)

    return run


def saved(runs: Path) -> list[Path]:
    return sorted((runs / "mine" / "reports").iterdir())


def data(done: Done) -> dict[str, Any]:
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_a_summary_and_all_of_it_saved(report: Report, runs: Path) -> None:
    done = report("--unconditional", *FEW)
    assert done.code == 0, done.err
    [path] = saved(runs)
    assert re.fullmatch(r"report-best_val-\d{8}-\d{6}\.json", path.name)
    assert f"saved {path}" in done.err
    kept = json.loads(path.read_text())
    assert kept["schema_version"] == 1
    lines = done.out.splitlines()
    assert lines[0] == f"mine, checkpoint best_val, step {kept['step']}"
    assert lines[1] == kept["verdict"]["text"]
    for words in ("likelihood.val.bits_per_byte", "held-out (12)", "character 5gram"):
        assert words in done.out
    assert "samples (5 of 12):" in lines
    assert len(kept["samples"]) == 12
    assert len(lines[lines.index("samples (5 of 12):") :]) == 6


def test_json_is_what_is_saved(report: Report, runs: Path) -> None:
    found = data(report("--unconditional", "--json", *FEW))
    assert found == json.loads(saved(runs)[0].read_text())
    assert set(found["metrics"]) == {"likelihood", "unique_rate", "exact_copies"}
    assert list(found["metrics"]["likelihood"]["readings"]) == ["model"]
    copies = found["metrics"]["exact_copies"]["readings"]
    assert list(copies) == ["samples", "held_out", "training"]
    assert copies["training"]["result"]["train"] == 1
    assert copies["held_out"]["result"] == {"samples": 12, "train": 0.0, "val": 1.0}
    assert set(copies["samples"]["intervals"]) == {"train", "val"}
    assert found["scores"]["val"]["bits_per_byte"] > 0
    assert set(found["mass"]) == {"train", "val"}
    assert [point["step"] for point in found["curve"]] == [0, 10, 20, 30]
    assert found["data"]["phrases"]["train"] > found["data"]["phrases"]["val"] > 0


def test_settings_left_out_are_the_configs(report: Report) -> None:
    sampling = data(report("--unconditional", "--json", *FEW))["sampling"]
    assert sampling == {
        "prompt": "",
        "n_samples": 12,
        "max_new_tokens": 7,
        "seed": 5,
        "samplers": [
            {"name": "temperature", "temperature": 0.9},
            {"name": "top_p", "p": 0.95},
        ],
    }
    args = ("--max-new-tokens", "3", "--temperature", "0.5", "--top-p", "0.5", "--top-k", "9")
    more = ("--seed", "8", "--checkpoint", "last", "--n-samples", "3")
    found = data(report("--prompt", "the", "--json", *args, *more))
    assert found["checkpoint"] == "last"
    assert found["step"] == 30
    assert found["sampling"] == {
        "prompt": "the",
        "n_samples": 3,
        "max_new_tokens": 3,
        "seed": 8,
        "samplers": [
            {"name": "temperature", "temperature": 0.5},
            {"name": "top_k", "k": 9},
            {"name": "top_p", "p": 0.5},
        ],
    }
    assert all(sample["text"].startswith("the") for sample in found["samples"])


def test_samples_are_those_of_generate(report: Report, tp: Run, runs: Path) -> None:
    args = ("--unconditional", "--n-samples", "4", "--json")
    ours = [sample["text"] for sample in data(report(*args))["samples"]]
    theirs = data(tp("generate", "--runs-dir", runs, *args))["samples"]
    assert ours == [sample["text"] for sample in theirs]


def test_the_same_report_twice(report: Report, runs: Path) -> None:
    """And two files, even within one second."""
    one, two = (data(report("--unconditional", "--json", *FEW)) for _ in range(2))
    for volatile in ("created", "perf"):
        del one[volatile], two[volatile]
    assert one == two
    assert len(saved(runs)) == 2


@pytest.mark.parametrize(
    ("args", "labels"),
    [
        (["--metrics", "unique_rate"], ["unique_rate"]),
        (["--metrics", "unique_rate,likelihood"], ["unique_rate", "likelihood"]),
        (["--metrics", "unique_rate", "--metrics", " likelihood "], ["unique_rate", "likelihood"]),
        (["--metrics", "unique_rate,unique_rate"], ["unique_rate"]),
    ],
)
def test_metrics_in_place_of_the_configs(
    args: list[str], labels: list[str], report: Report
) -> None:
    assert list(data(report("--unconditional", "--json", *FEW, *args))["metrics"]) == labels


def test_options_of_metrics(report: Report) -> None:
    """They go to the metric named before them."""
    done = report("--unconditional", "--metrics", "likelihood,wide=[1,2],unique_rate", *FEW)
    assert done.code == 2
    assert "metric 'likelihood'" in done.err
    assert "wide" in done.err
    assert "unique_rate" not in done.err.partition("--metrics")[2].partition(": ")[2]


def test_a_page_as_well(report: Report, runs: Path) -> None:
    assert report("--unconditional", "--html", *FEW).code == 0
    page, kept = saved(runs)
    assert page.stem == kept.stem
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert json.loads(kept.read_text())["verdict"]["label"] in text


def test_control_characters_are_written_out(
    report: Report, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tokenizer, "decode", lambda self, ids: "a\x1b[2Jb\x9bc\u202ed\re")
    done = report("--unconditional", "--html", *FEW)
    assert done.code == 0, done.err
    page, kept = saved(runs)
    for text in (done.out, page.read_text(encoding="utf-8")):
        assert "a\\x1b[2Jb\\x9bc\\u202ed\\re" in text
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]", text)
    assert json.loads(kept.read_text())["samples"][0]["text"] == "a\x1b[2Jb\x9bc\u202ed\re"


def test_train_mass_only_where_it_is_cheap_or_asked_for(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tp_core.report.make.MASS_LINES", 50)
    assert data(report("--unconditional", "--json", *FEW))["mass"] is None
    assert data(report("--unconditional", "--json", "--train-mass", *FEW))["mass"]["train"] > 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["--prompt TEXT or --unconditional"]),
        (["--prompt", "a", "--unconditional"], ["--prompt TEXT or --unconditional"]),
        (["--unconditional", "--n-samples", "0"], ["--n-samples"]),
        (["--unconditional", "--max-new-tokens", "0"], ["--max-new-tokens"]),
        (["--unconditional", "--temperature", "nan"], ["temperature"]),
        (["--unconditional", "--sampler", "topk"], ["--sampler topk", "top_k"]),
        (["--unconditional", "--metrics", "uniq_rate"], ["--metrics uniq_rate", "unique_rate"]),
        (["--unconditional", "--metrics", ""], ["NAME,option=value"]),
        (["--unconditional", "--metrics", "n=3"], ["NAME,option=value"]),
        (["--unconditional", "--metrics", "likelihood,n=3"], ["--metrics likelihood,n=3", "'n'"]),
        (["--prompt", "x" * 500], ["the prompt has", "fits only 47"]),
        (["--prompt", "a\u2581b"], ["U+2581"]),
        (["--unconditional", "--run-id", "other"], ["no run 'other'"]),
        (["--unconditional", "--checkpoint", "first"], ["no checkpoint 'first'"]),
    ],
)
def test_refused(args: list[str], words: list[str], report: Report, runs: Path) -> None:
    done = report(*args)
    assert_refused(done, runs)
    for word in words:
        assert word in done.err


def assert_refused(done: Done, runs: Path) -> None:
    assert done.code == 2, done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    assert "internal error" not in done.err
    assert len(done.err.strip().splitlines()) <= 4
    assert saved(runs) == []


def test_a_run_without_a_checkpoint(report: Report, runs: Path) -> None:
    (runs / "mine" / "checkpoints" / "best_val.pt").unlink()
    done = report("--unconditional")
    assert_refused(done, runs)
    assert "no checkpoint 'best_val'; available: last" in done.err


def test_a_damaged_line_is_named(report: Report, runs: Path) -> None:
    path = runs / "mine" / "metrics.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[3] = lines[3][:-5]
    path.write_bytes(b"\n".join(lines))
    done = report("--unconditional")
    assert_refused(done, runs)
    assert f"{path}:4: damaged line" in done.err


def test_a_torn_last_line_is_passed_over(report: Report, runs: Path) -> None:
    path = runs / "mine" / "metrics.jsonl"
    path.write_bytes(path.read_bytes() + b'{"step": 40, "spl')
    assert report("--unconditional", *FEW).code == 0


def test_no_metrics_file(report: Report, runs: Path) -> None:
    (runs / "mine" / "metrics.jsonl").unlink()
    done = report("--unconditional")
    assert_refused(done, runs)
    assert "metrics.jsonl" in done.err


def test_phrases_that_are_gone_or_others(
    report: Report, runs: Path, tmp_path: Path, tp: Run
) -> None:
    record = runs / "mine" / "provenance.json"
    provenance = json.loads(record.read_text())
    copy = tmp_path / "copy.txt"
    shutil.copy(provenance["data"]["path"], copy)
    provenance["data"]["path"] = str(copy)
    record.write_text(json.dumps(provenance))
    assert report("--unconditional", *FEW).code == 0
    for path in saved(runs):
        path.unlink()
    copy.write_text(copy.read_text() + "one more phrase\n")
    changed = report("--unconditional")
    assert_refused(changed, runs)
    assert f"{copy} has changed" in changed.err
    copy.unlink()
    gone = report("--unconditional")
    assert_refused(gone, runs)
    assert str(copy) in gone.err


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff"])
def test_a_damaged_provenance(content: bytes, report: Report, runs: Path) -> None:
    (runs / "mine" / "provenance.json").write_bytes(content)
    done = report("--unconditional")
    assert_refused(done, runs)


def test_nothing_to_write_to(report: Report, runs: Path) -> None:
    shutil.rmtree(runs / "mine" / "reports")
    (runs / "mine" / "reports").write_text("")
    done = report("--unconditional", *FEW)
    assert done.code == 1
    assert "cannot write a report" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("layout", ["packed", "text"])
def test_other_layouts(layout: str, tp: Run, tmp_path: Path) -> None:
    changes = {**CHANGES, "data.layout": layout, "train.max_steps": 3, "train.eval_interval": 3}
    run = train(tmp_path, "r", changes=changes)
    found = data(tp("report", "--runs-dir", run.path.parent, "--unconditional", "--json", *FEW))
    summary = json.loads(run.summary_path.read_text())
    assert found["baselines"] == summary["baselines"]
    assert found["scores"]["val"]["bits_per_byte"] == pytest.approx(
        summary["best_val"]["bits_per_byte"], rel=1e-6
    )
