"""What a training promises its callbacks, and what it doesn't let them do to it."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import assert_same_run, lines, make_plan, split, train, write_config

import tp_core
from tp_core.cli import main
from tp_core.errors import Diverged, RunFailed, TpError
from tp_core.interfaces import (
    CheckpointEvent,
    EndEvent,
    EvaluationEvent,
    StartEvent,
    StepEvent,
    recording,
)
from tp_core.interfaces.callbacks import EVENTS
from tp_core.runs.checkpoint import load_checkpoint
from tp_core.runs.directory import RunDir
from tp_core.runs.summary import summarize
from tp_core.training.callbacks import Callback, Callbacks, CallbackWarning
from tp_core.training.session import Session
from tp_core.training.setup import make_setup

DEFAULT = Path(__file__).parents[2] / "configs" / "default.toml"
CHANGES: dict[str, Any] = {
    "model.dropout": 0.2,
    "train.max_steps": 6,
    "train.eval_interval": 3,
    "train.checkpoint_interval": 2,
}


class Watching:
    """Does one thing in every event, and keeps nothing."""

    def __init__(self, do: Callable[[str], Any]) -> None:
        self.do = do

    def on_start(self, event: StartEvent) -> None:
        self.do("on_start")

    def on_step(self, event: StepEvent) -> None:
        self.do("on_step")

    def on_evaluation(self, event: EvaluationEvent) -> None:
        self.do("on_evaluation")

    def on_checkpoint(self, event: CheckpointEvent) -> None:
        self.do("on_checkpoint")

    def on_end(self, event: EndEvent) -> None:
        self.do("on_end")

    def state_dict(self) -> dict[str, Any]:
        self.do("state_dict")
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.do("load_state_dict")


class Acting(Watching):
    acts = True


class StopsAt:
    acts = True

    def __init__(self, step: int) -> None:
        self.last, self.step = step, 0

    def on_step(self, event: StepEvent) -> None:
        self.step = event.step

    def should_stop(self) -> str | None:
        return "enough" if self.step >= self.last else None


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return train(tmp_path_factory.mktemp("plain"), "r", changes=CHANGES)


def run_with(folder: Path, *callbacks: Any, **more: Any) -> tp_core.Run:
    changes = {**CHANGES, **more.pop("changes", {})}
    config = write_config(folder, changes)
    return tp_core.train(config, runs_dir=folder / "runs", run_id="r", callbacks=callbacks)


# What they hear.


def test_events_come_in_order(tmp_path: Path) -> None:
    heard: list[tuple[str, Any]] = []

    class Hears:
        def __init__(self) -> None:
            for name in EVENTS:
                setattr(self, name, lambda event, name=name: heard.append((name, event)))

        def on_end(self, event: EndEvent) -> None: ...

    run = run_with(tmp_path, Hears())
    told = [(name, getattr(e, "path", None) and e.path.name, e.step) for name, e in heard]
    best = {step: [("on_checkpoint", "best_val.pt", step)] for step in (0, 3, 6)}
    assert told == [
        ("on_start", "r", 0),
        *(("on_evaluation", None, 0), *best[0]),
        *(("on_step", None, 1), ("on_step", None, 2), ("on_checkpoint", "last.pt", 2)),
        *(("on_step", None, 3), ("on_evaluation", None, 3), *best[3]),
        *(("on_step", None, 4), ("on_checkpoint", "last.pt", 4), ("on_step", None, 5)),
        *(("on_step", None, 6), ("on_evaluation", None, 6), *best[6]),
        *(("on_checkpoint", "last.pt", 6), ("on_end", None, 6)),
    ]
    start, end = heard[0][1], heard[-1][1]
    assert (start.resumed, start.access, start.max_steps) == (False, None, 6)
    assert start.config == run.config
    assert (end.status, end.summary) == ("finished", run.summary)
    batch = split(RunDir(run.path), "batch")
    for (_, event), line in zip([h for h in heard if h[0] == "on_step"], batch, strict=True):
        for key in ("step", "loss", "grad_norm", "learning_rate", "tokens", "epoch"):
            assert getattr(event, key) == line[key]
    losses = [e.losses["val"]["loss"] for name, e in heard if name == "on_evaluation"]
    assert losses == [line["loss"] for line in split(RunDir(run.path), "val")]


def test_who_sees_the_model(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    class Blind:
        def on_start(self, event: StartEvent) -> None:
            seen[type(self).__name__] = event.access

    class Reads(Blind):
        reads_model = True

    class Acts(Blind):
        acts = True

    run_with(tmp_path, Blind(), Reads(), Acts())
    assert seen["Blind"] is None
    assert seen["Reads"].model is seen["Acts"].model is not None


# Those that only watch.


def fails(event: str) -> None:
    raise OSError(f"no route\n  in {event}")


def leaves_by_exit(event: str) -> None:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (fails, "failed in on_start(): OSError: no route in on_start"),
        (leaves_by_exit, "failed in on_start(): SystemExit: 3"),
    ],
)
def test_one_that_raises_costs_the_training_nothing(
    do: Callable[[str], Any], said: str, plain: RunDir, tmp_path: Path
) -> None:
    with pytest.warns(CallbackWarning) as caught:
        run = run_with(tmp_path, Watching(do))
    assert [str(one.message) for one in caught] == [
        f"callback 'Watching' {said}. The training goes on without it"
    ]
    assert_same_run(RunDir(run.path), plain)
    assert "callbacks" not in load_checkpoint(RunDir(run.path).last_path)


@pytest.mark.parametrize("where", [*EVENTS, "state_dict"])
def test_one_that_fails_somewhere_is_told_nothing_more(
    where: str, plain: RunDir, tmp_path: Path
) -> None:
    called: list[str] = []

    def do(event: str) -> None:
        called.append(event)
        if event == where:
            raise ValueError(event)

    with pytest.warns(CallbackWarning, match=rf"failed in {where}\(\): ValueError") as caught:
        run = run_with(tmp_path, Watching(do))
    assert len(caught) == 1
    assert called.index(where) == len(called) - 1
    assert_same_run(RunDir(run.path), plain)


def test_one_that_hangs_is_left_behind(
    plain: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tp_core.interfaces.callbacks.GUARD_SECONDS", 0.2)
    forever = threading.Event()
    with pytest.warns(CallbackWarning) as caught:
        run = run_with(tmp_path, Watching(lambda event: event == "on_step" and forever.wait()))
    forever.set()
    assert [str(one.message) for one in caught] == [
        "callback 'Watching' took longer than 0.2 s in on_step(). The training goes on without it"
    ]
    assert_same_run(RunDir(run.path), plain)


def test_one_that_draws_random_numbers(plain: RunDir, tmp_path: Path) -> None:
    def draw(event: str) -> None:
        torch.rand(7)
        torch.manual_seed(3)
        np.random.random(7)
        random.random()

    assert_same_run(RunDir(run_with(tmp_path, Watching(draw)).path), plain)


def test_the_command_says_it_in_a_line(
    plain: RunDir,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tp_plugins.callbacks.health.Health.on_step", fails)
    for run_id in ("a", "b"):
        capsys.readouterr()
        run = train(tmp_path, run_id, changes={**CHANGES, "train.callbacks": ["health"]})
        (line,) = [one for one in capsys.readouterr().err.splitlines() if "Warning" in one]
        assert line.startswith("Warning: callback 'health' failed in on_step(): ")
        assert line.endswith(". The training goes on without it")
        assert_same_run(run, plain)


def test_threads_end_with_the_training(tmp_path: Path) -> None:
    before = threading.active_count()
    run_with(tmp_path, Watching(lambda event: None))
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


# Those that act.


@pytest.mark.parametrize("where", ["on_start", "on_step", "on_evaluation", "on_checkpoint"])
def test_one_that_raises_ends_the_training(where: str, plain: RunDir, tmp_path: Path) -> None:
    ended: list[str] = []
    count = 0

    def do(event: str) -> None:
        nonlocal count
        count += event == where
        if event == where and count == (1 if where == "on_start" else 2):
            raise ValueError("not\nhere")
        if event == "on_end":
            ended.append(event)

    with pytest.raises(RunFailed) as caught:
        run_with(tmp_path, Acting(do))
    assert caught.value.exit_code == 1
    assert str(caught.value) == (
        f"callback 'Acting' failed in {where}(): ValueError: not here; the run can be resumed from "
        "its last checkpoint"
    )
    assert ended == ([] if where == "on_start" else ["on_end"])
    run = RunDir(tmp_path / "runs" / "r")
    assert not run.summary_path.exists()
    tp_core.train(runs_dir=tmp_path / "runs", resume="r", callbacks=[Acting(lambda event: None)])
    assert_same_run(run, plain)


def test_one_that_fails_at_the_end_keeps_the_others_from_nothing(
    plain: RunDir, tmp_path: Path
) -> None:
    ended: list[str] = []

    class First(Acting): ...

    with pytest.raises(RunFailed, match=r"'First' failed in on_end\(\): OSError: no route in on_e"):
        run_with(tmp_path, First(lambda e: e == "on_end" and fails(e)), Watching(ended.append))
    assert ended[-1] == "on_end"
    assert_same_run(RunDir(tmp_path / "runs" / "r"), plain)
    assert summarize(RunDir(tmp_path / "runs" / "r")).status == "finished"


def test_the_command_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tp_plugins.callbacks.ema.Ema.on_step", lambda self, event: 1 / 0)
    config = write_config(tmp_path, {"train.callbacks": ["ema"]})
    arguments = ["--config", str(config), "--runs-dir", str(tmp_path / "runs"), "--run-id", "r"]
    assert main(["train", *arguments]) == 1
    assert "Error: callback 'ema' failed in on_step(): ZeroDivisionError" in capsys.readouterr().err


def test_a_stop_is_a_last_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_with(tmp_path, StopsAt(4))
    assert run.summary["stopped"] == {"callback": "StopsAt", "reason": "enough"}
    assert (run.summary["status"], run.summary["step"]) == ("finished", 4)
    directory = RunDir(run.path)
    assert [line["step"] for line in split(directory, "val")] == [0, 3, 4]
    assert {sample["step"] for sample in run.samples()} == {2, 4}
    assert '"step": 4' in load_checkpoint(directory.last_path)["state"]
    assert main(["runs", "list", "--runs-dir", str(tmp_path / "runs")]) == 0
    assert "finished" in capsys.readouterr().out
    with pytest.raises(TpError, match="is finished"):
        tp_core.train(runs_dir=tmp_path / "runs", resume="r")


def interrupts(event: str) -> None:
    if event == "on_step":
        signal.raise_signal(signal.SIGINT)


def diverges(event: str) -> None:
    if event == "on_step":
        raise Diverged("too far")


def breaks(event: str) -> None:
    if event == "on_step":
        raise ValueError("broken")


@pytest.mark.parametrize(
    ("do", "status"), [(interrupts, "interrupted"), (diverges, "diverged"), (breaks, "failed")]
)
def test_it_hears_how_it_ended(do: Callable[[str], Any], status: str, tmp_path: Path) -> None:
    heard: list[EndEvent] = []

    class Ends:
        def on_end(self, event: EndEvent) -> None:
            heard.append(event)

    with pytest.raises((KeyboardInterrupt, TpError)):
        run_with(tmp_path, Acting(do), Ends())
    (event,) = heard
    assert (event.step, event.status) == (1, status)
    run = tp_core.Run(tmp_path / "runs" / "r")
    assert event.summary == ({} if status == "failed" else run.summary)


# What they keep.


class Keeps:
    acts = True

    def __init__(self, state: Any) -> None:
        self.state = state

    def on_step(self, event: StepEvent) -> None: ...

    def state_dict(self) -> Any:
        return self.state

    def load_state_dict(self, state: Any) -> None:
        self.state = state


PLAIN = {"a": [1, 2.5, None, "é", True], "t": torch.arange(3), "deep": {"er": {0: (1,)}}}


def test_plain_state_comes_back(plain: RunDir, tmp_path: Path) -> None:
    run_with(tmp_path, Keeps(PLAIN), StopsAt(3))
    run = RunDir(tmp_path / "runs" / "r")
    run.summary_path.unlink()
    again = Keeps(None)
    tp_core.train(runs_dir=tmp_path / "runs", resume="r", callbacks=[again])
    assert again.state["t"].equal(PLAIN["t"])
    assert {k: again.state[k] for k in ("a", "deep")} == {k: PLAIN[k] for k in ("a", "deep")}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            {"seen": {1, 2}},
            r"its state\['seen'\] is a set: checkpoints can only hold tensors and plain",
        ),
        ({"x": [np.float64(1)]}, r"its state\['x'\]\[0\] is a float64"),
        ({(1, 2): 3}, r"its state has the key \(1, 2\): keys must be strings or integers"),
        (lambda: 1, "its state is a function"),
    ],
)
def test_other_state_is_named(state: Any, message: str, plain: RunDir, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=message) as caught:
        run_with(tmp_path, Keeps(state))
    assert "callback 'Keeps' failed in state_dict(): TypeError" in str(caught.value)
    run = RunDir(tmp_path / "runs" / "r")
    assert [path.name for path in run.checkpoints_dir.iterdir()] == ["best_val.pt"]
    tp_core.train(runs_dir=tmp_path / "runs", resume="r", callbacks=[Keeps({})])
    assert_same_run(run, plain)


def test_other_state_of_one_that_watches(plain: RunDir, tmp_path: Path) -> None:
    watching = Keeps({"seen": {1, 2}})
    watching.__class__ = type("Watches", (Keeps,), {"acts": False})
    with pytest.warns(CallbackWarning, match="'Watches' failed in state_dict.* is a set"):
        run = run_with(tmp_path, watching)
    assert_same_run(RunDir(run.path), plain)


def test_two_of_a_class_keep_their_own(tmp_path: Path) -> None:
    run = run_with(tmp_path, Keeps({"a": 1}), Keeps({"a": 2}))
    kept = load_checkpoint(RunDir(run.path).last_path)["callbacks"]
    assert kept == {"Keeps": {"a": 1}, "Keeps-2": {"a": 2}}


# What is refused before anything is written.


def on_step(self: Any, event: StepEvent) -> None: ...


def a_class(**body: Any) -> Any:
    return type("Mine", (), body)()


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ([a_class(on_setp=on_step)], "'Mine': there is no event 'on_setp'. Did you mean 'on_step'"),
        ([a_class(on_xyz=on_step)], "no event 'on_xyz'. There are: on_start, on_step"),
        ([a_class()], "'Mine' has no event method"),
        ([a_class(should_stop=on_step)], "has should_stop.., so it must say `acts = True`"),
        ([a_class(on_step=on_step, state_dict=on_step)], "it must have load_state_dict.. too"),
        ([a_class(on_step=on_step, load_state_dict=on_step)], "it must have state_dict.. too"),
        ([a_class(on_step=on_step, files="x.csv")], "must be a tuple of names"),
        (
            [a_class(on_step=on_step, files=("x.csv",)), a_class(on_end=on_step, files=("x.csv",))],
            "'Mine-2' and callback 'Mine' both write x.csv",
        ),
        ([a_class(on_step=on_step, files=("metrics.jsonl",))], "and the training both write met"),
        ([a_class(on_step=on_step, files=("./config.json",))], "and the training both write"),
        ([a_class(on_step=on_step, files=("../x",))], "../x is outside the run's directory"),
        ([a_class(on_step=on_step, files=("health.jsonl",))], "and callback 'health' both write"),
    ],
)
def test_what_is_refused(callbacks: list[Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(TpError, match=message):
        run_with(tmp_path, *callbacks, changes={"train.callbacks": ["health"]})
    assert not (tmp_path / "runs").exists()


def test_a_resumed_run_is_checked_as_a_new_one(plain: RunDir, tmp_path: Path) -> None:
    run = RunDir(Path(shutil.copytree(plain.path, tmp_path / "r")))
    run.summary_path.unlink()
    before = {path: path.read_bytes() for path in run.path.rglob("*.*") if path.is_file()}
    mine = a_class(on_step=on_step, files=("samples.jsonl",))
    with pytest.raises(TpError, match="and the training both write"):
        tp_core.train(runs_dir=tmp_path, resume="r", callbacks=[mine])
    assert {path: path.read_bytes() for path in before} == before


def test_one_named_twice(tmp_path: Path) -> None:
    with pytest.raises(TpError, match="callback 'early_stopping' is there twice: name it once"):
        run_with(tmp_path, changes={"train.callbacks": ["early_stopping", "early_stopping"]})
    averages = ["ema", {"name": "ema", "decay": 0.5}]
    with pytest.raises(TpError, match=r"both write checkpoints/ema\.pt"):
        run_with(tmp_path, changes={"train.callbacks": averages})
    assert not (tmp_path / "runs").exists()
    # Two that differ each keep their own state.
    two = [{"name": "early_stopping", "patience": n} for n in (7, 8)]
    run = run_with(tmp_path, changes={"train.callbacks": two})
    kept = load_checkpoint(RunDir(run.path).last_path)["callbacks"]
    assert list(kept) == ["early_stopping,patience=7", "early_stopping,patience=8"]


_CHECKED_WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from tp_core.cli import main
sys.exit(main(["config", "check", sys.argv[1]]))
"""


def test_a_callback_with_nothing_to_go_by_is_refused_with_its_place(tmp_path: Path) -> None:
    text = DEFAULT.read_text()
    line = next(one for one in text.splitlines() if one.startswith("callbacks ="))
    text = text.replace(line, 'callbacks = ["early_stopping"]')
    text = re.sub(r"(?m)^eval_interval = \d+", "eval_interval = 99999", text)
    config = tmp_path / "config.toml"
    config.write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", _CHECKED_WITHOUT_TORCH, str(config)], capture_output=True, text=True
    )
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert "eval_interval = 99999 is longer than the training" in said
    written = text.splitlines().index('callbacks = ["early_stopping"]')
    assert f"{config}:{written + 1}" in said


# What it costs.


def test_an_event_that_nobody_wants_calls_nothing(tmp_path: Path) -> None:
    setup = make_setup(make_plan(tmp_path))
    assert setup.callbacks == ()
    nobody = Callbacks([])
    called: list[str] = []
    ends = Callback("ends", Watching(called.append))
    only = Callbacks([ends])
    for name in EVENTS:
        nobody.tell(name, None)
    assert nobody.stop_reason() is None
    assert nobody.state_dicts() == {}
    assert only.stop_reason() is None
    assert called == []


def test_without_callbacks_nothing_looks_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks: list[int] = []
    save = Session.save

    def look(session: Session, **more: Any) -> None:
        model, optimizer = session.setup.model, session.setup.optimizer
        for module in model.modules():
            hooks.append(len(module._forward_hooks) + len(module._forward_pre_hooks))
        hooks.append(len(optimizer._optimizer_step_pre_hooks))
        hooks.append(len(optimizer._optimizer_step_post_hooks))
        hooks.append(int(recording()))
        hooks.append(threading.active_count() - before)
        save(session, **more)

    before = threading.active_count()
    monkeypatch.setattr(Session, "save", look)
    run = run_with(tmp_path)
    assert hooks
    assert not any(hooks)
    assert "callbacks" not in load_checkpoint(RunDir(run.path).last_path)
    assert {line["split"] for line in lines(RunDir(run.path).metrics_path)} == {
        *("train", "val", "batch")
    }
