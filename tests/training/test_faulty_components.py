"""A component that breaks its contract is named, with its file and line, and no traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import lines, make_plan, weights, write_config

from tp_core.cli import main
from tp_core.model.decoder import Decoder
from tp_core.runs.directory import RunDir
from tp_core.training.setup import make_setup

FAULTY = Path(__file__).parent / "distributions" / "tp-faulty"


@pytest.fixture
def tp_train(
    install: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Exit code and stderr of a training with a faulty component in it."""
    install(FAULTY)

    def run(key: str, name: str, how: str, **more: Any) -> tuple[int, str]:
        component: Any = {"name": f"tp-faulty:{name}", "how": how}
        if key.endswith("s"):
            component = [component]
        steps = {"train.max_steps": 6, "train.sample_interval": 3, "train.checkpoint_interval": 2}
        config = write_config(tmp_path, {key: component, **steps, **more})
        capsys.readouterr()
        code = main(
            [
                "train",
                "--config",
                str(config),
                "--runs-dir",
                str(tmp_path / "runs"),
                "--run-id",
                "r",
            ]
        )
        return code, capsys.readouterr().err

    return run


# What a fault is marked with, where that is a line for several.
MARKS = {
    **dict.fromkeys(["shape", "broadcast", "dtype", "nan", "nothing", "late_nan"], "returns"),
    **dict.fromkeys(["no_tuple", "lost_state"], "state_returns"),
    "flat_state": "state_made",
}


def place(how: str) -> str:
    """`file:line` of the line that is marked with a fault."""
    mark = MARKS.get(how, how)
    for path in sorted((FAULTY / "tp_faulty").glob("*.py")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.endswith(f"# HERE {mark}"):
                return f"{path}:{number}"
    raise LookupError(mark)


def assert_short(err: str) -> None:
    error = err[err.index("Error: ") :]
    assert "Traceback" not in err
    assert "internal error" not in err
    assert len(error.splitlines()) <= 2, error


BEFORE = [
    ("model.mlp", "net", "constructor", "TypeError"),
    ("model.mlp", "net", "forward", "RuntimeError"),
    ("model.mlp", "net", "helper", "RuntimeError: helper failed"),
    ("model.mlp", "net", "shape", "returned shape (2, 4, 32), not (2, 4, 16)"),
    ("model.mlp", "net", "broadcast", "returned shape (1, 4, 16), not (2, 4, 16)"),
    ("model.mlp", "net", "dtype", "returned torch.float64, not torch.float32"),
    ("model.mlp", "net", "nan", "returned NaN"),
    ("model.mlp", "net", "nothing", "returned NoneType, not a tensor"),
    ("model.attention", "mix", "no_tuple", "returned Tensor, not (y, state)"),
    ("model.attention", "mix", "step", "LookupError: no such step"),
    ("model.attention", "mix", "lost_state", "was given state dict and returned NoneType"),
    ("model.attention", "mix", "flat_state", "returned 'steps' of shape (), not [2, ...]"),
    ("model.positional_encoding", "twist", "rotated", "returned shape"),
    ("model.positional_encoding", "lean", "leaning", "returned shape (1, 1, 1, 1)"),
    ("train.optimizer", "descend", "build", "ValueError: nothing to descend on"),
]


@pytest.mark.parametrize(("key", "name", "how", "message"), BEFORE)
def test_found_before_anything_is_written(
    key: str,
    name: str,
    how: str,
    message: str,
    tp_train: Callable[..., tuple[int, str]],
    tmp_path: Path,
) -> None:
    code, err = tp_train(key, name, how)
    assert code == 2
    assert_short(err)
    assert f"{key.rpartition('.')[2]} 'tp-faulty:{name}'" in err
    assert message in err
    assert f"({place(how)})" in err
    assert not (tmp_path / "runs").exists()


LATER = [
    ("model.mlp", "net", "late", "ValueError: enough of this", 3),
    ("model.mlp", "net", "backward", "ValueError: no way back", 0),
    ("train.schedule", "pace", "factor", "ValueError: no pace", 0),
    ("train.optimizer", "descend", "descent", "ValueError: no descent", 0),
    ("sampling.samplers", "pick", "call", "ValueError: no pick", 3),
    ("sampling.samplers", "pick", "state", "ValueError: no state", 3),
    ("sampling.samplers", "pick", "accept", "ValueError: not taken", 3),
    ("report.metrics", "count", "compute", "ValueError: can't count", 6),
]


@pytest.mark.parametrize(("key", "name", "how", "message", "step"), LATER)
def test_found_in_training(
    key: str,
    name: str,
    how: str,
    message: str,
    step: int,
    tp_train: Callable[..., tuple[int, str]],
    tmp_path: Path,
) -> None:
    code, err = tp_train(key, name, how)
    assert code == 2
    assert_short(err)
    assert f"{key.rpartition('.')[2].rstrip('s')} 'tp-faulty:{name}' failed: {message}" in err
    assert f"({place(how)})" in err
    run = RunDir(tmp_path / "runs" / "r")
    assert lines(run.metrics_path)[-1]["step"] == step
    assert not run.summary_path.exists()


@pytest.mark.parametrize(
    ("key", "name", "how", "code", "message"),
    [
        ("sampling.samplers", "pick", "none_left", 1, "removed every token of a row"),
        ("sampling.samplers", "pick", "one_nan", 1, "or returned NaN or +inf"),
        ("sampling.samplers", "pick", "infinite", 1, "or returned NaN or +inf"),
        ("sampling.samplers", "pick", "narrow", 1, "returned (5, 3), not logits of shape (5, 300)"),
        ("train.schedule", "pace", "nan_factor", 2, "returned nan for step 1"),
        ("train.schedule", "pace", "no_factor", 2, "returned None for step 1"),
        ("train.optimizer", "descend", "no_optimizer", 2, "can't be built"),
        ("report.metrics", "count", "nan", 2, "returned data that is not JSON"),
    ],
)
def test_what_it_returned_is_no_use(
    key: str,
    name: str,
    how: str,
    code: int,
    message: str,
    tp_train: Callable[..., tuple[int, str]],
) -> None:
    found, err = tp_train(key, name, how)
    assert found == code
    assert_short(err)
    assert f"{key.rpartition('.')[2].rstrip('s')} 'tp-faulty:{name}'" in err
    assert message in err


def test_nan_in_training_diverges_and_says_where_from(
    tp_train: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    code, err = tp_train("model.mlp", "net", "late_nan", **{"train.checkpoint_interval": 1})
    assert code == 3
    assert_short(err)
    assert "step 4: the loss is nan" in err
    assert "the step was not applied" in err
    assert f"mlp 'tp-faulty:net': forward() returned NaN ({place('late_nan')})" in err
    run = RunDir(tmp_path / "runs" / "r")
    assert json.loads(run.summary_path.read_text())["status"] == "diverged"
    assert json.loads(run.summary_path.read_text())["step"] == 3
    assert "NaN" not in run.metrics_path.read_text() + run.summary_path.read_text()
    assert all(torch.isfinite(tensor).all() for tensor in weights(run.last_path).values())


def test_everything_is_shown_on_demand(
    tp_train: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_TRACEBACK", "1")
    code, err = tp_train("model.mlp", "net", "forward")
    assert code == 2
    assert "Traceback" in err
    assert "y @ torch.zeros(3, 3)" in err


def test_watching_leaves_no_trace(tmp_path: Path) -> None:
    """Components are checked before training; in it, each call goes straight to them."""
    model = make_setup(make_plan(tmp_path)).model
    assert len(model.built) > 8
    for made, _ in model.built:
        assert not {"forward", "rotate", "init_state"} & vars(made).keys()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), ["step 1: out of memory", "accumulation"]),
        (
            torch._dynamo.exc.TorchDynamoException("no compiler\nand more"),
            ["torch.compile failed: no compiler\n", "train.compile = false"],
        ),
    ],
)
def test_what_is_no_components_fault(
    error: Exception,
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*args: Any) -> None:
        raise error

    monkeypatch.setattr(Decoder, "loss", fail)
    config = write_config(tmp_path)
    code = main(["train", "--config", str(config), "--runs-dir", str(tmp_path / "runs")])
    err = capsys.readouterr().err
    assert code == 1
    assert_short(err)
    assert all(word in err for word in words)
