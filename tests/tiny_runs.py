"""A phrase file and a config small enough to train in a blink, and what tests do with them."""

from __future__ import annotations

import copy
import json
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from tp_core.cli import main
from tp_core.config.plan import Plan, load_plan
from tp_core.runs.directory import RunDir

torch.set_num_threads(1)  # as the processes that tests start are told to

# Tokenised data is kept for the session, and not among the user's.
_cache = tempfile.TemporaryDirectory(prefix="tp-tests-")
os.environ["TP_CACHE_DIR"] = _cache.name

TP = [sys.executable, "-c", "import sys; from tp_core.cli import main; sys.exit(main())"]

_WORDS = (
    *("the", "a", "old", "red", "quiet", "fox", "moon", "river", "stone", "bird", "café", "naïve"),
    *("sings", "sleeps", "runs", "waits", "under", "over", "behind", "and", "never", "again"),
)

CONFIG: dict[str, Any] = {
    "data": {"val_fraction": 0.15, "test_fraction": 0.05},
    "tokenizer": {"vocab_size": 300},
    "model": {
        "d_model": 16,
        "n_layers": 2,
        "n_heads": 2,
        "max_seq_len": 48,
        "dropout": 0.0,
        "positional_encoding": "rope",
        "attention": "softmax",
        "norm": "rmsnorm",
        "mlp": "swiglu",
        "block": "pre",
    },
    "train": {
        "max_steps": 4,
        "batch_size": 16,
        "learning_rate": 0.01,
        "optimizer": "adamw",
        "schedule": {"name": "cosine", "warmup": 1},
        "eval_interval": 2,
        "sample_interval": 2,
        "checkpoint_interval": 2,
        "device": "cpu",
    },
    "eval": {"max_lines": 50},
    "sampling": {
        "max_new_tokens": 6,
        "samplers": [{"name": "temperature", "temperature": 0.9}, {"name": "top_p", "p": 0.95}],
    },
    "report": {"metrics": ["likelihood", "unique_rate"]},
}


def phrases(n: int = 120) -> list[str]:
    """Distinct phrases of three to eight words, the same ones every time."""
    rng = random.Random(7)
    found: dict[str, None] = {}
    while len(found) < n:
        found[" ".join(rng.choices(_WORDS, k=rng.randint(3, 8)))] = None
    return list(found)


def write_config(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    """Phrases and a config in `folder`; `changes` are {"section.key": value}."""
    data = copy.deepcopy(CONFIG)
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / "phrases.txt"
    text.write_text("\n".join(phrases()) + "\n", encoding="utf-8")
    data["data"]["path"] = str(text)
    for key, value in (changes or {}).items():
        section, _, name = key.partition(".")
        data[section][name] = value
    config = folder / "config.json"
    config.write_text(json.dumps(data), encoding="utf-8")
    return config


def make_plan(folder: Path, changes: dict[str, Any] | None = None, *sets: str) -> Plan:
    """The plan of `write_config`."""
    return load_plan(write_config(folder, changes), sets)


def train(folder: Path, run_id: str, *more: str, changes: dict[str, Any] | None = None) -> RunDir:
    """A finished run in `folder`/runs, trained in this process."""
    config, runs = write_config(folder, changes), folder / "runs"
    code = main(
        ["train", "--config", str(config), "--runs-dir", str(runs), "--run-id", run_id, *more]
    )
    assert code == 0
    return RunDir(runs / run_id)


def python_path(*first: Path) -> str:
    """PYTHONPATH for a process that is to find these directories before all others."""
    inherited = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join([*map(str, first), *filter(None, [inherited])])


def lines(path: Path) -> list[dict[str, Any]]:
    """A JSONL file, without the figures that may differ from run to run."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in record.items() if key != "perf"} for record in records]


def split(run: RunDir, name: str) -> list[dict[str, Any]]:
    """The metrics lines of one split."""
    return [line for line in lines(run.metrics_path) if line["split"] == name]


def weights(path: Path) -> dict[str, torch.Tensor]:
    """The model in a checkpoint."""
    model: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["model"]
    return model


def assert_same_tensors(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    """Bit for bit."""
    assert list(a) == list(b)
    for name, tensor in a.items():
        assert torch.equal(tensor, b[name]), name


def assert_same_run(run: RunDir, whole: RunDir) -> None:
    """Metrics, samples, weights and optimizer state, bit for bit."""
    assert lines(run.metrics_path) == lines(whole.metrics_path)
    assert run.samples_path.read_bytes() == whole.samples_path.read_bytes()
    for path in ("last_path", "best_val_path"):
        assert_same_tensors(weights(getattr(run, path)), weights(getattr(whole, path)))
    a, b = (torch.load(r.last_path, weights_only=True)["optimizer"]["state"] for r in (run, whole))
    for index, state in a.items():
        assert_same_tensors(state, b[index])
