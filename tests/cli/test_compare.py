"""`tp compare`, on runs trained for the purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_runner import Run
from tiny_runs import CONFIG, phrases, split, train

from tp_core.compare import evaluated_run
from tp_core.compare.differences import config_differences
from tp_core.evaluation.losses import measure_lines
from tp_core.generation.generate import Continuation
from tp_core.interfaces import SequenceInfo
from tp_core.runs.directory import RunDir
from tp_core.runs.opening import open_run


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    train(folder, "a1")
    train(folder, "a2", "--set", "train.seed=2")
    train(folder, "b1", "--set", "model.attention=linear")
    train(folder, "b2", "--set", "model.attention=linear", "--set", "train.seed=2")
    train(folder, "words", "--set", "tokenizer.vocab_size=290")
    train(folder, "other", "--set", "data.split_seed=9")
    return folder / "runs"


def compare(tp: Run, runs_dir: Path, ids: str, *more: str) -> Any:
    done = tp("compare", "--runs-dir", runs_dir, "--run-ids", ids, "--json", *more)
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_two_runs_side_by_side(tp: Run, runs_dir: Path) -> None:
    done = tp("compare", "--runs-dir", runs_dir, "--run-ids", "a1,b1", "--unconditional")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[1].split()[:4] == ["run", "step", "loss", "bits/byte"]
    assert any(line.startswith("b1 − a1 = ") and "paired by validation" in line for line in lines)
    assert any(
        line.split()[:3] == ["model.attention", "a1", "softmax(sink=false,"] for line in lines
    )
    assert sum(line.split()[:1] in (["1"], ["2"], ["3"]) for line in lines) == 6
    assert "compares two checkpoints, not two architectures" in done.err


def test_the_figures_are_those_of_the_runs(tp: Run, runs_dir: Path) -> None:
    data = compare(tp, runs_dir, "a1,b1", "--unconditional", "--checkpoint", "last")
    for row in data["runs"]:
        recorded = split(RunDir(runs_dir / row["id"]), "val")[-1]
        assert row["bits_per_byte"] == pytest.approx(recorded["bits_per_byte"], rel=1e-6)
        assert row["loss"] == pytest.approx(recorded["loss"], rel=1e-6)
        assert row["parameters"] > 1000
    (difference,) = data["differences"]
    by_hand = data["runs"][1]["bits_per_byte"] - data["runs"][0]["bits_per_byte"]
    assert difference["bits_per_byte"]["estimate"] == pytest.approx(by_hand)


def test_scores_are_in_the_order_of_the_file(runs_dir: Path) -> None:
    loaded = open_run(RunDir(runs_dir / "a1"))
    val = evaluated_run.open_run_data(loaded).val
    scores = measure_lines(loaded.model, loaded.tokenizer, val, 64, loaded.autocast)
    for index in (0, len(val) // 2, len(val) - 1):
        tokens = loaded.tokenizer.encode(val.text(index))
        row = torch.tensor([[loaded.tokenizer.bos_id, *tokens]])
        seq = SequenceInfo.of_rows(torch.tensor([row.shape[1]]), row.shape[1])
        with torch.no_grad():
            logits, _ = loaded.model(row, seq)
        targets = torch.tensor([*tokens, loaded.tokenizer.eos_id])
        nll = -logits[0].log_softmax(-1).gather(1, targets[:, None]).sum()
        assert scores.nll[index] == pytest.approx(float(nll), rel=1e-5)
        assert scores.bytes[index] == len(val.text(index).encode()) + 1


def test_operations_are_counted_as_by_hand(tp: Run, runs_dir: Path) -> None:
    row = compare(tp, runs_dir, "a1,b1", "--unconditional")["runs"][0]
    model = CONFIG["model"]
    d, layers, context = model["d_model"], model["n_layers"], model["max_seq_len"]
    vocabulary = open_run(RunDir(runs_dir / "a1")).tokenizer.vocab_size
    matrices = layers * (4 * d * d + 3 * d * round(8 / 3 * d)) + vocabulary * d
    attention = layers * 2 * context * d  # q·k and weights·v
    assert row["flops_per_token"] == pytest.approx(2 * (matrices + attention))


def test_runs_that_differ_in_seed_are_grouped(tp: Run, runs_dir: Path) -> None:
    data = compare(tp, runs_dir, "a1,b1,a2,b2", "--unconditional")
    assert [g["runs"] for g in data["groups"]] == [["a1", "a2"], ["b1", "b2"]]
    bits = {row["id"]: row["bits_per_byte"] for row in data["runs"]}
    (difference,) = data["differences"]
    assert difference["by"] == "seeds, paired"
    expected = (bits["b1"] - bits["a1"] + bits["b2"] - bits["a2"]) / 2
    assert difference["bits_per_byte"]["estimate"] == pytest.approx(expected)
    mean = data["groups"][0]["bits_per_byte"]["estimate"]
    assert mean == pytest.approx((bits["a1"] + bits["a2"]) / 2)
    assert not any("two checkpoints" in remark for remark in data["remarks"])


def test_two_seeds_of_one_config_say_what_a_seed_is_worth(tp: Run, runs_dir: Path) -> None:
    data = compare(tp, runs_dir, "a1,a2", "--unconditional")
    assert any("the differences are seed variance" in remark for remark in data["remarks"])
    assert [one["key"] for one in data["config"]] == ["train.seed"]


def test_same_prompt_and_seed_for_every_side(tp: Run, runs_dir: Path) -> None:
    args = ("--prompt", "the ", "--n-samples", "2")
    one = compare(tp, runs_dir, "a1,b1", *args)
    again = compare(tp, runs_dir, "b1,a1", *args)
    assert one["runs"][0]["samples"] == again["runs"][1]["samples"]
    assert all(s["text"].startswith("the ") for run in one["runs"] for s in run["samples"])
    other = compare(tp, runs_dir, "a1,b1", *args, "--seed", "4")
    assert other["runs"][0]["samples"] != one["runs"][0]["samples"]


def test_samples_are_marked_by_where_they_stand_in_the_data(
    tp: Run, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = open_run(RunDir(runs_dir / "a1"))
    dataset = evaluated_run.open_run_data(loaded)
    texts = [dataset.train.text(3), dataset.val.text(2), "nowhere to be found"]

    def writes(model: Any, chain: Any, tokenizer: Any, *rest: Any, **more: Any) -> Any:
        return [Continuation(i, tuple(tokenizer.encode(t)), "end") for i, t in enumerate(texts)]

    monkeypatch.setattr(evaluated_run, "generate", writes)
    samples = compare(tp, runs_dir, "a1,b1", "--unconditional")["runs"][0]["samples"]
    assert [(s["text"], s["known"]) for s in samples] == [
        (texts[0], "in train"),
        (texts[1], "in val"),
        (texts[2], "new"),
    ]


def test_different_tokenizers_are_compared_in_bits_per_byte(tp: Run, runs_dir: Path) -> None:
    data = compare(tp, runs_dir, "a1,words", "--unconditional")
    assert data["differences"][0]["bits_per_byte"] is not None
    assert any("tokenizers differ" in remark for remark in data["remarks"])


def test_another_split_is_not_compared(tp: Run, runs_dir: Path) -> None:
    done = tp("compare", "--runs-dir", runs_dir, "--run-ids", "a1,other", "--unconditional")
    assert done.code == 0
    assert "other and a1 are not compared: a1 and other split their data differently" in done.out
    assert "two architectures" not in done.err


@pytest.mark.parametrize("change", ["missing", "changed"])
def test_without_its_data_a_run_is_sampled_and_not_scored(
    tp: Run, tmp_path: Path, change: str
) -> None:
    for run_id in ("a", "b"):
        train(tmp_path, run_id, "--set", f"model.d_model={16 if run_id == 'a' else 24}")
    data = tmp_path / "phrases.txt"
    if change == "missing":
        data.unlink()
    else:
        data.write_text("\n".join([*phrases(), "one more"]) + "\n")
    found = compare(tp, tmp_path / "runs", "a,b", "--unconditional")
    assert found["runs"][0]["bits_per_byte"] is None
    assert change in found["differences"][0]["refusal"]
    assert {s["known"] for s in found["runs"][0]["samples"]} == {"?"}


def test_markdown_is_tables_with_their_text_escaped(tp: Run, runs_dir: Path) -> None:
    args = ("--run-ids", "a1,b1", "--prompt", "a|b `c` ", "--md")
    done = tp("compare", "--runs-dir", runs_dir, *args)
    assert done.code == 0
    rows = [line for line in done.out.splitlines() if line.startswith("| 1 ")]
    assert len(rows) == 2
    assert all("a\\|b \\`c\\`" in row for row in rows)
    assert "> only one seed per config" in done.out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--run-ids", "a1", "--unconditional"], "needs at least two runs"),
        (["--run-ids", "a1,a1", "--unconditional"], "needs at least two runs"),
        (["--run-ids", "a1,nope", "--unconditional"], "no run 'nope'"),
        (["--run-ids", "a1,b1"], "specify either --prompt TEXT or --unconditional"),
        (["--run-ids", "a1,b1", "--prompt", "a", "--unconditional"], "specify either --prompt"),
        (["--run-ids", "a1,b1", "--unconditional", "--n-samples", "0"], "--n-samples"),
        (["--run-ids", "a1,b1", "--prompt", "the " * 99], "run 'a1': the prompt has"),
        (["--run-ids", "a1,b1", "--unconditional", "--md", "--json"], "can't be combined"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    tp: Run, runs_dir: Path, args: list[str], words: str
) -> None:
    done = tp("compare", "--runs-dir", runs_dir, *args)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_a_run_without_a_checkpoint_is_named(tp: Run, tmp_path: Path) -> None:
    run = train(tmp_path, "a")
    train(tmp_path, "b")
    run.best_val_path.unlink()
    done = tp("compare", "--runs-dir", tmp_path / "runs", "--run-ids", "a,b", "--unconditional")
    assert done.code == 2
    assert "run 'a' has no checkpoint 'best_val'; available: last" in done.err


def test_another_component_is_one_difference() -> None:
    softmax = {"attention": {"name": "softmax", "window": 3, "bias": True}, "n": 1}
    linear = {"attention": {"name": "linear", "decay": "none"}, "n": 1}
    wide = {"attention": {"name": "softmax", "window": 4, "bias": True}, "n": 1.0}
    assert [d.key for d in config_differences([softmax, linear])] == ["attention"]
    assert [d.key for d in config_differences([softmax, wide])] == ["attention.window", "n"]
    assert config_differences([softmax, dict(softmax)]) == []
    (absent,) = config_differences([{"a": 1}, {}])
    assert absent.values == (1, None)
