"""The built-in callbacks in trainings: early stopping, averaged weights, health, TensorBoard."""

from __future__ import annotations

import json
import math
import shutil
import signal
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from held_trainings import HOLD, resume, start
from tiny_runs import (
    assert_same_run,
    assert_same_tensors,
    lines,
    split,
    train,
    weights,
    write_config,
)

import tp_core
from tp_core.cli import main
from tp_core.errors import TpError
from tp_core.interfaces import CheckpointEvent, EvaluationEvent, StartEvent, StepEvent, recording
from tp_core.runs.directory import RunDir
from tp_core.runs.summary import summarize

# Everything that a resume could get wrong; it stops at step 10, where no checkpoint is due.
CHANGES: dict[str, Any] = {
    "model.dropout": 0.2,
    "model.attention": {"name": "softmax", "dropout": 0.2},
    "train.max_steps": 16,
    "train.learning_rate": 0.02,
    "train.grad_accumulation": 2,
    "train.eval_interval": 2,
    "train.sample_interval": 5,
    "train.checkpoint_interval": 4,
    "train.callbacks": [
        {"name": "early_stopping", "patience": 2, "min_delta": 0.45},
        {"name": "ema", "decay": 0.8},
    ],
}
STOP = 10


class Copies:
    """Copies the run's directory at each event: what a kill there would leave."""

    def __init__(self, into: Path) -> None:
        self.into = into

    def on_start(self, event: StartEvent) -> None:
        self.path = event.path

    def on_step(self, event: StepEvent) -> None:
        self._copy(f"{event.step:02}-step")

    def on_evaluation(self, event: EvaluationEvent) -> None:
        self._copy(f"{event.step:02}-evaluation")

    def on_checkpoint(self, event: CheckpointEvent) -> None:
        self._copy(f"{event.step:02}-{event.path.stem}")

    def _copy(self, name: str) -> None:
        shutil.copytree(self.path, self.into / name / "r")


class Remembers:
    """The weights after each step, and at the end what the averaged ones give."""

    acts = True

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []

    def on_start(self, event: StartEvent) -> None:
        assert event.access is not None
        self.access = event.access
        self._remember()

    def on_step(self, event: StepEvent) -> None:
        self._remember()

    def _remember(self) -> None:
        named = self.access.model.named_parameters()
        self.weights.append({name: p.detach().double().clone() for name, p in named})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[tp_core.Run, Path, Remembers]:
    """One that was left alone, what kills would have left of it, and its weights by step."""
    folder = tmp_path_factory.mktemp("whole")
    remembers = Remembers()
    run = tp_core.train(
        write_config(folder, CHANGES),
        runs_dir=folder / "runs",
        run_id="r",
        callbacks=[remembers, Copies(folder / "copies")],
    )
    return run, folder / "copies", remembers


def test_it_stops_where_the_losses_say(
    whole: tuple[tp_core.Run, Path, Remembers], capsys: pytest.CaptureFixture[str]
) -> None:
    run, _, _ = whole
    val = split(RunDir(run.path), "val")
    best, waited, stop = math.inf, 0, None
    for line in val:
        best, waited = (line["loss"], 0) if line["loss"] < best - 0.45 else (best, waited + 1)
        if waited == 2:
            stop = line["step"]
            break
    assert stop == STOP == run.summary["step"] == val[-1]["step"]
    assert run.summary["status"] == "finished"
    assert run.summary["stopped"] == {
        "callback": "early_stopping",
        "reason": f"the validation loss has not improved by more than 0.45 on {best:.4f} for 2 "
        "evaluations",
    }
    assert {sample["step"] for sample in run.samples()} == {5, 10}
    assert main(["runs", "list", "--runs-dir", str(run.path.parent)]) == 0
    assert "finished" in capsys.readouterr().out
    assert summarize(RunDir(run.path)).status == "finished"
    assert main(["train", "--resume", "r", "--runs-dir", str(run.path.parent)]) == 2
    assert "run 'r' is finished" in capsys.readouterr().err


def test_up_to_the_stop_nothing_is_changed(
    whole: tuple[tp_core.Run, Path, Remembers], tmp_path: Path
) -> None:
    alone = train(tmp_path, "r", changes={**CHANGES, "train.callbacks": []})
    expected = [line for line in lines(alone.metrics_path) if line["step"] <= STOP]
    found = lines(RunDir(whole[0].path).metrics_path)
    assert [line for line in found if not line["split"].endswith("_ema")] == expected


EVENTS = ["02-step", "04-evaluation", "04-last", "06-best_val", "07-step", "08-last", "10-step"]


@pytest.mark.parametrize("event", [*EVENTS, "10-evaluation", "10-last"])
def test_killed_anywhere_it_comes_to_the_same(
    event: str, whole: tuple[tp_core.Run, Path, Remembers], tmp_path: Path
) -> None:
    run, copies, _ = whole
    shutil.copytree(copies / event, tmp_path / "runs")
    again = tp_core.train(runs_dir=tmp_path / "runs", resume="r")
    assert_same_ema_run(again, run)


def assert_same_ema_run(run: tp_core.Run, whole: tp_core.Run) -> None:
    assert_same_run(RunDir(run.path), RunDir(whole.path))
    ema = (weights(one.path / "checkpoints" / "ema.pt") for one in (run, whole))
    assert_same_tensors(*ema)
    assert {k: v for k, v in run.summary.items() if k != "perf"} == {
        k: v for k, v in whole.summary.items() if k != "perf"
    }


def test_killed_by_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {**CHANGES, "train.schedule": "hold"}
    killed = start(tmp_path / "killed", 7, changes=changes)
    try:
        monkeypatch.syspath_prepend(str(HOLD))
        whole = train(tmp_path / "whole", "r", changes=changes)
        killed.held_at(7)
        killed.process.send_signal(signal.SIGKILL)
        assert killed.ended()[0] == -signal.SIGKILL
        assert resume(killed.run) == 0
        assert_same_ema_run(tp_core.Run(killed.run.path), tp_core.Run(whole.path))
    finally:
        killed.process.kill()
        killed.process.communicate()


def test_killed_between_its_last_two_checkpoints(
    whole: tuple[tp_core.Run, Path, Remembers], tmp_path: Path
) -> None:
    run, copies, _ = whole
    shutil.copytree(copies / "10-last", tmp_path / "runs")
    (tmp_path / "runs" / "r" / "checkpoints" / "ema.pt").unlink()
    assert_same_ema_run(tp_core.train(runs_dir=tmp_path / "runs", resume="r"), run)


def test_the_average_is_one_of_the_weights(
    whole: tuple[tp_core.Run, Path, Remembers],
) -> None:
    run, _, remembers = whole
    average = remembers.weights[0]
    for step, now in enumerate(remembers.weights[1:], start=1):
        decay = min(0.8, (1 + step) / (10 + step))
        average = {
            name: decay * average[name] + (1 - decay) * weight for name, weight in now.items()
        }
    assert len(remembers.weights) == STOP + 1
    kept = weights(run.path / "checkpoints" / "ema.pt")
    assert set(average) <= set(kept)
    for name, expected in average.items():
        torch.testing.assert_close(kept[name].double(), expected, rtol=1e-5, atol=1e-6)


def test_its_losses_are_those_of_the_average(
    whole: tuple[tp_core.Run, Path, Remembers],
) -> None:
    """`ema.pt` in the place of the model's weights, evaluated, against the last lines."""
    run, _, remembers = whole
    model, access = remembers.access.model, remembers.access
    model.load_state_dict(weights(run.path / "checkpoints" / "ema.pt"))
    found = access.evaluate()
    directory = RunDir(run.path)
    for name, losses in found.items():
        line = split(directory, f"{name}_ema")[-1]
        assert (line["step"], line["loss"]) == (STOP, losses["loss"])
        assert line["bits_per_byte"] == losses["bits_per_byte"]
        assert line["loss"] != split(directory, name)[-1]["loss"]
    assert [one["step"] for one in split(directory, "val_ema")] == [0, 2, 4, 6, 8, 10]
    assert split(directory, "val_ema")[0]["loss"] == split(directory, "val")[0]["loss"]


# Health, measured beside it by other means.


class Measures:
    """Gradients and updates by the optimizer's hooks, activations and entropies by the modules'."""

    acts = True

    def __init__(self) -> None:
        self.by_step: dict[int, dict[str, Any]] = {}

    def on_start(self, event: StartEvent) -> None:
        assert event.access is not None
        self.model: Any = event.access.model
        self._begin()
        event.access.optimizer.register_step_pre_hook(self._before)
        for layer, block in enumerate(self.model.blocks):
            block.register_forward_hook(self._block_hook(layer))
            block.attention.register_forward_pre_hook(self._attention_hook(layer))

    def on_step(self, event: StepEvent) -> None:
        named = dict(self.model.named_parameters())
        ratios = {
            key: norm([named[n].detach() - self.weights[n] for n in names])
            / norm([self.weights[n] for n in names])
            for key, names in self.groups.items()
        }
        self.by_step[event.step] = {
            "grads": self.grads,
            "ratios": ratios,
            "rms": {k: math.sqrt(sum(v) / len(v)) for k, v in self.squares.items()},
            "entropy": {k: sum(v) / len(v) for k, v in self.entropies.items()},
        }
        self._begin()

    def _begin(self) -> None:
        self.squares: dict[int, list[float]] = defaultdict(list)
        self.entropies: dict[int, list[float]] = defaultdict(list)

    def _before(self, *_: Any) -> None:
        named = dict(self.model.named_parameters())
        self.weights = {name: p.detach().clone() for name, p in named.items()}
        self.groups: dict[tuple[int | None, str], list[str]] = defaultdict(list)
        for info in self.model.parameter_infos(1.0, 1.0):
            layer = int(info.name.split(".")[1]) if info.name.startswith("blocks.") else None
            self.groups[layer, info.role].append(info.name)
        self.grads = {k: norm([named[n].grad for n in names]) for k, names in self.groups.items()}

    def _block_hook(self, layer: int) -> Any:
        def hook(block: Any, inputs: Any, output: Any) -> None:
            if block.training:
                self.squares[layer].append(float(output[0].detach().pow(2).mean()))

        return hook

    def _attention_hook(self, layer: int) -> Any:
        def hook(attention: Any, inputs: Any) -> None:
            if not attention.training or not hasattr(attention, "q"):
                return
            x, seq = inputs[0].detach(), inputs[1]
            with torch.no_grad():
                q, k = (part(x).unflatten(-1, (2, 8)) for part in (attention.q, attention.k))
                scores = torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(8)
                unseen = torch.ones(scores.shape[-2:]).triu(1).bool()
                p = scores.masked_fill(unseen, -math.inf).softmax(-1)
                entropy = -(p * p.clamp(min=1e-30).log()).sum(-1).mean(1)
            self.entropies[layer].append(float(entropy[seq.valid].mean()))

        return hook


def norm(tensors: list[torch.Tensor]) -> float:
    return math.sqrt(sum(float(one.double().pow(2).sum()) for one in tensors))


HEALTH: dict[str, Any] = {
    "model.positional_encoding": "none",
    "model.dropout": 0.1,
    "train.max_steps": 6,
    "train.grad_accumulation": 2,
    "train.grad_clip": 0.5,
    "train.eval_interval": 1,
    "train.sample_interval": 2,
}


def health(run: RunDir) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.path / "health.jsonl").open()]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, Measures]:
    folder = tmp_path_factory.mktemp("health")
    measures = Measures()
    changes = {**HEALTH, "train.callbacks": [{"name": "health", "every": 2}]}
    config = write_config(folder, changes)
    run = tp_core.train(config, runs_dir=folder / "runs", run_id="r", callbacks=[measures])
    return RunDir(run.path), measures


def test_health_is_what_is_measured_beside_it(measured: tuple[RunDir, Measures]) -> None:
    run, measures = measured
    found = health(run)
    assert [(line["step"], line["layer"]) for line in found] == [
        (step, layer) for step in (2, 4, 6) for layer in (0, 1, None)
    ]
    for line in found:
        layer, expected = line["layer"], measures.by_step[line["step"]]
        for key, name in (("grad_norm", "grads"), ("update_ratio", "ratios")):
            here = {role: v for (at, role), v in expected[name].items() if at == layer}
            assert set(line[key]) == set(here)
            assert line[key] == pytest.approx(here, rel=1e-4)
        if layer is None:
            assert (line["activation_rms"], line["attention_entropy"]) == (None, None)
        else:
            assert line["activation_rms"] == pytest.approx(expected["rms"][layer], rel=1e-5)
            assert line["attention_entropy"] == pytest.approx(expected["entropy"][layer], rel=1e-4)
    # All of them together are the gradient as clipped.
    for step in (2, 4, 6):
        norms = [v for line in found if line["step"] == step for v in line["grad_norm"].values()]
        told = next(line for line in split(run, "batch") if line["step"] == step)["grad_norm"]
        assert math.hypot(*norms) == pytest.approx(min(told, 0.5), rel=1e-4)


def test_health_changes_nothing(measured: tuple[RunDir, Measures], tmp_path: Path) -> None:
    assert_same_run(measured[0], train(tmp_path, "r", changes=HEALTH))
    assert not recording()


def test_an_attention_without_weights_has_no_entropy(tmp_path: Path) -> None:
    changes = {
        "model.attention": "linear",
        "model.positional_encoding": "none",
        "train.callbacks": [{"name": "health", "every": 1}],
    }
    for line in health(train(tmp_path, "r", changes=changes)):
        assert line["attention_entropy"] is None
        assert (line["activation_rms"] is None) == (line["layer"] is None)


def test_a_resumed_run_has_each_step_once(tmp_path: Path) -> None:
    changes = {**CHANGES, "train.callbacks": [{"name": "health", "every": 1}]}
    config = write_config(tmp_path, changes)
    copies = Copies(tmp_path / "copies")
    whole = tp_core.train(config, runs_dir=tmp_path / "runs", run_id="r", callbacks=[copies])
    for event in ("03-step", "07-step", "12-last"):
        again = tp_core.train(runs_dir=copies.into / event, resume="r")
        assert_same_run(RunDir(again.path), RunDir(whole.path))
        mine, its = (run.path / "health.jsonl" for run in (again, whole))
        assert mine.read_bytes() == its.read_bytes()
    assert len(health(RunDir(whole.path))) == 16 * 3


# TensorBoard.


def test_without_tensorboardx_a_sentence_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.delitem(sys.modules, "tp_plugins.callbacks.tensorboard", raising=False)
    config = write_config(tmp_path, {"train.callbacks": ["tensorboard"]})
    with pytest.raises(TpError, match=r"pip install 'transformer-playground\[tensorboard\]'"):
        tp_core.train(config, runs_dir=tmp_path / "runs")
    assert main(["train", "--config", str(config), "--runs-dir", str(tmp_path / "runs")]) == 2
    assert "callback 'tensorboard'" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What is in the event files, by tag."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):  # a record: length, its checksum, the event, its checksum
            length = int.from_bytes(data[at : at + 8], "little")
            event = Event()
            event.ParseFromString(data[at + 12 : at + 12 + length])
            at += length + 16
            for value in event.summary.value:
                found[value.tag].append((event.step, value.simple_value))
    return found


def test_tensorboard_has_the_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    changes = {**HEALTH, "train.callbacks": [{"name": "tensorboard", "every": 2}]}
    run = train(tmp_path / "with", "r", changes=changes)
    assert_same_run(run, train(tmp_path / "without", "r", changes=HEALTH))
    found = scalars(run.path / "tensorboard")
    assert set(found) == {
        *("batch/loss", "batch/grad_norm", "optimizer/learning_rate"),
        *(f"{name}/{figure}" for name in ("train", "val") for figure in ("loss", "bits_per_byte")),
    }
    for tag, name, key in (
        ("batch/loss", "batch", "loss"),
        ("batch/grad_norm", "batch", "grad_norm"),
        ("optimizer/learning_rate", "batch", "learning_rate"),
        ("val/loss", "val", "loss"),
        ("train/bits_per_byte", "train", "bits_per_byte"),
    ):
        every = 2 if name == "batch" else 1
        expected = [(x["step"], x[key]) for x in split(run, name) if x["step"] % every == 0]
        assert found[tag] == [(step, pytest.approx(value, rel=1e-6)) for step, value in expected]
