"""What a training computes: its losses, its learning rates, its steps, against plain arithmetic."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import (
    assert_same_tensors,
    lines,
    make_plan,
    phrases,
    split,
    train,
    weights,
    write_config,
)

from tp_core.cli import main
from tp_core.data.splits import split_lines
from tp_core.data.tokenizer import Tokenizer
from tp_core.errors import Diverged
from tp_core.interfaces import SequenceInfo
from tp_core.model.decoder import Decoder
from tp_core.runs.directory import RunDir
from tp_core.runs.opening import open_run
from tp_core.training.session import Session, start
from tp_core.training.setup import TrainingSetup, make_setup
from tp_core.training.trainer import Trainer

DROPOUT: dict[str, Any] = {
    "model.dropout": 0.3,
    "model.attention": {"name": "softmax", "dropout": 0.3},
}


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Two epochs, no dropout."""
    changes = {"train.max_steps": 12, "train.eval_interval": 5}
    return train(tmp_path_factory.mktemp("plain"), "r", changes=changes)


def trainer(folder: Path, changes: dict[str, Any] | None = None) -> tuple[Session, Trainer]:
    setup = make_setup(make_plan(folder, changes))
    run = RunDir(folder / "run")
    for directory in (run.checkpoints_dir, run.tokenizer_path.parent):
        directory.mkdir(parents=True)
    session = start(setup, run)
    return session, Trainer(session)


def losses(run: RunDir) -> list[float]:
    return [line["loss"] for line in split(run, "batch")]


def test_the_same_config_gives_the_same_bytes(tmp_path: Path) -> None:
    a, b = (train(tmp_path, name, changes=DROPOUT) for name in ("a", "b"))
    assert lines(a.metrics_path) == lines(b.metrics_path)
    assert a.samples_path.read_bytes() == b.samples_path.read_bytes()
    assert_same_tensors(weights(a.last_path), weights(b.last_path))
    c = train(tmp_path, "c", "--set", "train.seed=2", changes=DROPOUT)
    assert losses(a) != losses(c)


def test_looking_on_changes_no_loss(tmp_path: Path) -> None:
    often = {"train.eval_interval": 1, "train.sample_interval": 1, "train.checkpoint_interval": 1}
    seldom = dict.fromkeys(often, 100) | {"train.sample_interval": 0}
    a, b = (
        train(tmp_path, name, changes={**DROPOUT, **intervals})
        for name, intervals in (("often", often), ("seldom", seldom))
    )
    assert split(a, "batch") == split(b, "batch")
    assert_same_tensors(weights(a.last_path), weights(b.last_path))
    assert len(split(a, "val")) == 5
    assert [line["step"] for line in split(b, "val")] == [0, 4]


def test_dropout_is_on_in_training_and_nowhere_else(tmp_path: Path) -> None:
    """An evaluation of step 0 doesn't know of dropout, the first step does."""
    a, b = (train(tmp_path, name, changes=changes) for name, changes in (("a", {}), ("b", DROPOUT)))
    assert split(a, "val")[0] == split(b, "val")[0]
    assert losses(a)[0] != losses(b)[0]


def test_micro_batches_change_nothing(tmp_path: Path, baseline: RunDir) -> None:
    """Five of unequal size."""
    changes = {"train.max_steps": 12, "train.eval_interval": 5, "train.grad_accumulation": 5}
    run = train(tmp_path, "r", changes=changes)
    assert losses(run) == pytest.approx(losses(baseline), rel=1e-5)
    expected = [line["grad_norm"] for line in split(baseline, "batch")]
    assert [line["grad_norm"] for line in split(run, "batch")] == pytest.approx(expected, rel=1e-3)
    assert split(run, "val")[-1]["loss"] == pytest.approx(
        split(baseline, "val")[-1]["loss"], rel=1e-5
    )


def test_more_micro_batches_than_lines(tmp_path: Path, baseline: RunDir) -> None:
    """The first step is the short one of its epoch."""
    session, one = trainer(tmp_path, {"train.grad_accumulation": 16})
    assert len(session.setup.data_loader.lines_for(0)) == 14
    result, first = one.step(), split(baseline, "batch")[0]
    assert result.loss == pytest.approx(first["loss"], rel=1e-5)
    assert result.grad_norm == pytest.approx(first["grad_norm"], rel=1e-4)
    session.close()


def nll_of_line(model: Decoder, tokenizer: Tokenizer, text: str) -> float:
    """In nats, token by token, end included, in double precision."""
    tokens = [tokenizer.bos_id, *tokenizer.encode(text)]
    total = 0.0
    for at, target in enumerate([*tokens[1:], tokenizer.eos_id]):
        seen = torch.tensor([tokens[: at + 1]])
        seq = SequenceInfo.of_rows(torch.tensor([at + 1]), at + 1)
        row = model(seen, seq)[0][0, -1].double().tolist()
        largest = max(row)
        total -= row[target] - largest - math.log(sum(math.exp(x - largest) for x in row))
    return total


@torch.no_grad()
def test_losses_are_what_the_definition_says(baseline: RunDir) -> None:
    loaded = open_run(baseline, "last")
    texts = phrases()
    data = loaded.plan.config.data
    parts = split_lines(
        texts,
        val_fraction=data.val_fraction,
        test_fraction=data.test_fraction,
        split_seed=data.split_seed,
    )
    held_out = [texts[i] for i in parts.val]
    assert len(held_out) > 5
    nll = sum(nll_of_line(loaded.model, loaded.tokenizer, text) for text in held_out)
    n_tokens = sum(len(loaded.tokenizer.encode(text)) + 1 for text in held_out)
    n_bytes = sum(len(text.encode()) + 1 for text in held_out)
    last = split(baseline, "val")[-1]
    assert last["step"] == 12
    assert last["loss"] == pytest.approx(nll / n_tokens, rel=1e-5)
    assert last["bits_per_byte"] == pytest.approx(nll / math.log(2) / n_bytes, rel=1e-5)
    reported = json.loads(baseline.summary_path.read_text())["metrics"]["likelihood"]["val"]
    assert reported["loss"] == last["loss"]
    assert reported["perplexity"] == pytest.approx(math.exp(nll / n_tokens), rel=1e-5)


@torch.no_grad()
def test_the_loss_of_a_step_is_that_of_its_lines(tmp_path: Path, baseline: RunDir) -> None:
    """Before any update: the model as it starts, on the lines of the first batch."""
    setup = make_setup(make_plan(tmp_path))
    data, indices = setup.dataset.train, setup.data_loader.lines_for(0)
    texts = [data.text(int(index)) for index in indices]
    assert len(set(texts)) == len(texts) > 10
    setup.model.eval()
    nll = sum(nll_of_line(setup.model, setup.dataset.tokenizer, text) for text in texts)
    n_tokens = sum(len(setup.dataset.tokenizer.encode(text)) + 1 for text in texts)
    first = split(baseline, "batch")[0]
    assert first["loss"] == pytest.approx(nll / n_tokens, rel=1e-5)
    n_bytes = sum(len(text.encode()) + 1 for text in texts)
    assert first["bits_per_byte"] == pytest.approx(nll / math.log(2) / n_bytes, rel=1e-5)
    assert first["tokens"] == n_tokens


def test_it_learns(baseline: RunDir) -> None:
    values = [line["loss"] for line in split(baseline, "val")]
    assert values[-1] < values[0] - 0.3
    best = min(split(baseline, "val"), key=lambda line: line["loss"])
    summary = json.loads(baseline.summary_path.read_text())
    assert summary["status"] == "finished"
    assert summary["best_val"] == {k: best[k] for k in ("step", "loss", "bits_per_byte")}
    assert summary["first_val"]["step"] == 0
    assert summary["last_val"]["step"] == 12
    assert summary["tokens"] == split(baseline, "batch")[-1]["tokens"]


def test_best_val_is_kept_when_the_model_gets_worse(tmp_path: Path) -> None:
    """A learning rate that ruins the model after a few good steps."""
    changes = {
        "train.schedule": {"name": "constant", "warmup": 4},
        "train.learning_rate": 3.0,
        "train.max_steps": 5,
        "train.eval_interval": 1,
    }
    run = train(tmp_path, "r", changes=changes)
    best = min(split(run, "val"), key=lambda line: line["loss"])
    assert best["step"] < 5
    assert open_run(run, "best_val").step == best["step"]
    assert open_run(run, "last").step == 5
    assert not torch.equal(
        weights(run.best_val_path)["embedding.weight"], weights(run.last_path)["embedding.weight"]
    )


def cosine(step: int, steps: int, warmup: int, floor: float) -> float:
    if step < warmup:
        return (step + 1) / (warmup + 1)
    half_turns = (step - warmup) / (steps - 1 - warmup)
    return floor + (1 - floor) * math.cos(half_turns * math.pi / 2) ** 2


@pytest.mark.parametrize(
    ("schedule", "factor"),
    [
        ({"name": "cosine", "warmup": 3, "floor": 0.2}, lambda s: cosine(s, 8, 3, 0.2)),
        ({"name": "cosine", "warmup": 0, "floor": 0.0}, lambda s: cosine(s, 8, 0, 0.0)),
        ({"name": "constant", "warmup": 2}, lambda s: min(1, (s + 1) / 3)),
    ],
)
def test_learning_rates(
    schedule: dict[str, Any], factor: Callable[[int], float], tmp_path: Path
) -> None:
    run = train(tmp_path, "r", changes={"train.schedule": schedule, "train.max_steps": 8})
    expected = [0.01 * factor(step) for step in range(8)]
    assert [line["learning_rate"] for line in split(run, "batch")] == pytest.approx(expected)


def test_one_step_is_adamw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first update of every parameter, from its gradient, by the paper's equations."""
    changes = {
        "model.tie_embeddings": False,
        "model.attention": {"name": "softmax", "bias": True},
        "train.schedule": {"name": "constant", "warmup": 1},
        "train.weight_decay": 0.5,
        "train.grad_clip": 0.25,
    }
    session, one = trainer(tmp_path, changes)
    setup = session.setup
    before = {name: p.detach().clone() for name, p in setup.model.named_parameters()}
    gradients: dict[str, torch.Tensor] = {}
    step = setup.optimizer.step

    def recording(*args: Any) -> Any:
        for name, p in setup.model.named_parameters():
            assert p.grad is not None
            gradients[name] = p.grad.clone()
        return step(*args)

    monkeypatch.setattr(setup.optimizer, "step", recording)
    result = one.step()
    norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients.values()))
    assert norm == pytest.approx(0.25, rel=1e-4)
    assert result.grad_norm > 0.25
    rate = 0.01 / 2
    decayed = set()
    for name, p in setup.model.named_parameters():
        g = gradients[name]
        adam = before[name] - rate * g / (g.abs() + 1e-8)
        with_decay = adam - rate * 0.5 * before[name]
        if torch.allclose(p, with_decay, rtol=0, atol=1e-6):
            decayed.add(name)
        assert torch.allclose(p, with_decay if name in decayed else adam, rtol=0, atol=1e-6), name
    session.close()
    # A bias of zero decays to the same value either way, so those are told by the groups.
    matrices = {name for name, p in setup.model.named_parameters() if p.ndim == 2}
    assert {name for name in decayed if before[name].any()} == matrices
    assert groups(setup) == {0.5: matrices, 0.0: set(before) - matrices}
    assert any(name.endswith("bias") for name in before)


def groups(setup: TrainingSetup) -> dict[float, set[str]]:
    """Which parameters the optimizer decays by how much."""
    names = {id(p): name for name, p in setup.model.named_parameters()}
    found: dict[float, set[str]] = {}
    for group in setup.optimizer.param_groups:
        found.setdefault(group["weight_decay"], set()).update(names[id(p)] for p in group["params"])
    return found


def test_grad_clip_0_is_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session, one = trainer(tmp_path, {"train.grad_clip": 0})
    seen: list[float] = []
    step = session.setup.optimizer.step

    def recording(*args: Any) -> Any:
        gradients = [p.grad for p in session.setup.model.parameters() if p.grad is not None]
        seen.append(math.sqrt(sum(float(g.double().square().sum()) for g in gradients)))
        return step(*args)

    monkeypatch.setattr(session.setup.optimizer, "step", recording)
    result = one.step()
    assert seen == pytest.approx([result.grad_norm], rel=1e-4)
    session.close()


def test_bf16(tmp_path: Path, baseline: RunDir) -> None:
    changes = {"train.max_steps": 12, "train.eval_interval": 5, "train.precision": "bf16"}
    run = train(tmp_path, "r", changes=changes)
    assert losses(run) == pytest.approx(losses(baseline), rel=0.02)
    assert losses(run) != losses(baseline)
    assert {tensor.dtype for tensor in weights(run.last_path).values()} == {torch.float32}


def test_auxiliary_losses_are_logged_and_learned_from(tmp_path: Path) -> None:
    moe = {"name": "moe", "n_experts": 4, "top_k": 1, "norm_topk": False, "loss_weight": 1.0}
    run = train(tmp_path, "r", changes={"model.mlp": moe, "train.max_steps": 12})
    balance = [line["auxiliary"]["moe_balance"] for line in split(run, "batch")]
    # Two layers: each layer's loss is at least 1, and that where all experts are equally busy.
    assert all(value >= 2 - 1e-3 for value in balance)
    assert balance[-1] < balance[0]
    without = {"model.mlp": {**moe, "loss_weight": 0}, "train.max_steps": 2}
    assert losses(train(tmp_path, "s", changes=without))[0] == losses(run)[0]


@pytest.mark.parametrize("clip", [0, 1])
@pytest.mark.parametrize("sample_interval", [0, 1])
def test_divergence(
    clip: float, sample_interval: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {
        "train.learning_rate": 1e6,
        "train.grad_clip": clip,
        "train.max_steps": 20,
        "train.checkpoint_interval": 1,
        "train.eval_interval": 100,
        "train.sample_interval": sample_interval,
        "model.norm": "layernorm",
    }
    config = write_config(tmp_path, changes)
    code = main(["train", "--config", str(config), "--runs-dir", str(tmp_path), "--run-id", "r"])
    assert code == 3
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "not finite" in err or "nothing was updated" in err
    run = RunDir(tmp_path / "r")
    summary = strict_json(run.summary_path.read_text())
    assert summary["status"] == "diverged"
    for line in run.metrics_path.read_text().splitlines():
        strict_json(line)
    assert summary["step"] == split(run, "batch")[-1]["step"]
    for checkpoint in run.checkpoints_dir.iterdir():
        for tensor in weights(checkpoint).values():
            assert torch.isfinite(tensor).all()


def strict_json(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_step_that_is_not_finite_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, one = trainer(tmp_path)
    one.step()
    model, optimizer = session.setup.model, session.setup.optimizer
    before = {k: v.clone() for k, v in model.state_dict().items()}
    kept = [{k: v.clone() for k, v in s.items()} for s in optimizer.state.values()]
    state = dataclasses.replace(session.state)
    monkeypatch.setattr(model, "loss", lambda *args: Decoder.loss(model, *args) * math.nan)
    one = Trainer(session)
    with pytest.raises(Diverged, match=r"step 2: the loss is nan .* nothing was updated"):
        one.step()
    assert_same_tensors(model.state_dict(), before)
    for now, then in zip(optimizer.state.values(), kept, strict=True):
        assert_same_tensors(now, then)
    assert session.state == state
    session.close()


def test_evaluation_leaves_the_models_mode_and_gradients_alone(tmp_path: Path) -> None:
    session, one = trainer(tmp_path, DROPOUT)
    session.setup.model.train()
    one.step()
    scores = one.evaluation_losses()
    one.sample(2)
    assert session.setup.model.training
    assert all(p.grad is None for p in session.setup.model.parameters())
    assert scores["val"].nll.dtype == np.float64
    again = one.evaluation_losses()
    assert np.array_equal(scores["val"].nll, again["val"].nll)
    session.close()


@pytest.mark.heavy
def test_compiled_training_is_the_same_but_for_rounding(tmp_path: Path, baseline: RunDir) -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    changes = {"train.max_steps": 12, "train.eval_interval": 5, "train.compile": True}
    run = train(tmp_path, "r", changes=changes)
    assert losses(run) == pytest.approx(losses(baseline), rel=1e-4)
    # 12 batches of several widths, a short one among them, share the code of one or two.
    assert 1 <= torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 2
