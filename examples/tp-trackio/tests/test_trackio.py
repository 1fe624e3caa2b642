"""What is sent of a training is what its own files say."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import tp_core

WORDS = ("old", "red", "quiet", "fox", "moon", "river", "stone", "bird", "sings", "sleeps")


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    draw = random.Random(1)
    lines = {" ".join(draw.choices(WORDS, k=draw.randint(3, 6))) for _ in range(150)}
    text = tmp_path / "phrases.txt"
    text.write_text("\n".join(sorted(lines)) + "\n")
    return {
        "data": {"path": str(text)},
        "tokenizer": {"vocab_size": 280},
        "model": {
            **{"d_model": 16, "n_layers": 1, "n_heads": 2, "max_seq_len": 48, "dropout": 0.0},
            **{"positional_encoding": "rope", "attention": "softmax", "norm": "rmsnorm"},
            **{"mlp": "swiglu", "block": "pre"},
        },
        "train": {
            **{"max_steps": 4, "batch_size": 8, "learning_rate": 0.01, "optimizer": "adamw"},
            **{"schedule": "constant", "eval_interval": 2, "checkpoint_interval": 2},
            "callbacks": [{"name": "trackio", "project": "mine", "every": 2}],
        },
        "sampling": {"samplers": ["temperature"]},
        "report": {"metrics": ["likelihood"]},
    }


def test_what_is_sent(
    config: dict[str, Any],
    sent: list[tuple[Any, ...]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tp_core.train(config, runs_dir=tmp_path / "runs", run_id="r")
    assert capsys.readouterr().out == ""
    (_, start), *logged, end = sent
    assert (start["project"], start["name"], start["resume"]) == ("mine", "r", "never")
    assert start["config"] == run.config
    assert end == ("finish",)
    metrics = run.metrics()
    by_group: dict[str, list[int]] = {}
    for _, step, figures in logged:
        group = next(iter(figures)).partition("/")[0]
        by_group.setdefault(group, []).append(step)
        column = metrics[group]
        row = column["step"].tolist().index(step)
        for name, value in figures.items():
            assert value == column[name.partition("/")[2]][row]
    assert by_group == {"train": [0, 2, 4], "val": [0, 2, 4], "batch": [2, 4]}


def test_a_training_goes_on_without_it(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**more: Any) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr("trackio.init", refuse)
    with pytest.warns(UserWarning, match="'tp-trackio:trackio' failed in on_start.*no route"):
        run = tp_core.train(config, runs_dir=tmp_path / "runs")
    assert run.summary["status"] == "finished"
