"""The data layouts: equal in loss where they should be, and right in what a training says."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import lines, make_plan, phrases, split, train, write_config

from tp_core.cli import main
from tp_core.config.plan import load_plan
from tp_core.data.from_plan import open_dataset
from tp_core.data.layouts import DataLoader, make_data_loader
from tp_core.evaluation.char_ngram import CharNgram
from tp_core.generation.generate import generate
from tp_core.interfaces import SequenceInfo
from tp_core.model.batch import on_device
from tp_core.model.decoder import Decoder
from tp_core.training.setup import TrainingSetup, make_setup

CPU = torch.device("cpu")
# Encoding and attention: every site, masks by position and by document, states that run on.
PAIRS = [
    ("none", "softmax"),
    ("learned", "softmax"),
    ("sinusoidal", "softmax"),
    ("rope", "softmax"),
    ("alibi", "softmax"),
    ("fox", "softmax"),
    ("rope", "{name='softmax', n_kv_heads=1, window=5, qk_norm='rmsnorm'}"),
    ("rope", "linear"),
    ("none", "linear"),
    ("rope", "mla"),
]


def moved(plan: Any, vocab_size: int) -> Decoder:
    """A model away from its start, where all logits are nearly alike."""
    model = Decoder(plan, vocab_size).eval()
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def epoch_loss(model: Decoder, steps: DataLoader, n_micro_batches: int = 1) -> tuple[float, int]:
    """The summed loss of an epoch and the number of its targets; gradients are added up."""
    total, count = 0.0, 0
    for step in range(steps.steps_per_epoch):
        for rows in steps.micro_batches(step, n_micro_batches):
            tokens, targets, seq = on_device(rows, CPU)
            loss = model.loss(tokens, targets, seq)
            torch.autograd.backward(loss)
            total, count = total + float(loss.detach()), count + rows.n_targets
    return total, count


def gradients(model: Decoder) -> torch.Tensor:
    found = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    return torch.cat(found)


@pytest.mark.parametrize(("encoding", "attention"), PAIRS)
def test_packed_lines_have_the_loss_they_have_alone(
    tmp_path: Path, encoding: str, attention: str
) -> None:
    """Over the same lines: the summed loss, and the gradient of every parameter."""
    sets = [f"model.positional_encoding={encoding}", f"model.attention={attention}"]
    plan = make_plan(tmp_path, None, *sets)
    dataset = open_dataset(plan)
    model = moved(plan, dataset.tokenizer.vocab_size)
    settings: dict[str, Any] = {"seed": 1, "max_seq_len": plan.config.model.max_seq_len}
    alone = make_data_loader("lines", dataset.train, batch_size=16, **settings)
    packed = make_data_loader("packed", dataset.train, batch_size=5, **settings)
    assert packed.steps_per_epoch > 2
    loss, count = epoch_loss(model, alone)
    gradient = gradients(model)
    packed_loss, packed_count = epoch_loss(model, packed, n_micro_batches=2)
    assert packed_count == count == dataset.train.lengths.sum()
    assert abs(packed_loss / loss - 1) < 1e-5
    off = gradients(model) - gradient
    assert float(off.norm() / gradient.norm()) < 1e-4


def test_a_document_that_saw_another_would_show(tmp_path: Path) -> None:
    """The test above can fail: without document ids the loss is another."""
    plan = make_plan(tmp_path)
    dataset = open_dataset(plan)
    model = moved(plan, dataset.tokenizer.vocab_size)
    packed = make_data_loader("packed", dataset.train, batch_size=5, seed=1, max_seq_len=48)
    (rows,) = packed.micro_batches(0, 1)
    tokens, targets, seq = on_device(rows, CPU)
    mixed = SequenceInfo.of_positions(seq.positions)
    with torch.no_grad():
        right, wrong = (model.loss(tokens, targets, s) for s in (seq, mixed))
    assert abs(float(wrong / right) - 1) > 1e-3


def test_lines_that_are_pieces_have_the_same_loss(tmp_path: Path) -> None:
    """A text without newlines, one character a token; and a file with each chunk on a line, too
    long by one character that truncation takes, so that neither has an end."""
    rng, size = random.Random(0), 48
    text = "".join(rng.choices("abcdefg  ", k=size * 60)).replace("  ", " x")
    chunks = [text[i : i + size] for i in range(0, len(text), size)]
    (tmp_path / "text.txt").write_text(text)
    (tmp_path / "lines.txt").write_text("\n".join(f"{chunk}z" for chunk in chunks))
    changes = {
        "tokenizer": {"model_type": "char", "vocab_size": 300},
        "data": {"val_fraction": 0.25, "test_fraction": 0.0},
    }
    config = write_config(tmp_path)
    sets = [f"{s}.{key}={value}" for s, table in changes.items() for key, value in table.items()]
    one = load_plan(config, [*sets, f"data.path={tmp_path}/text.txt", "data.layout=text"])
    dataset = open_dataset(one)
    truncating = [f"data.path={tmp_path}/lines.txt", "data.overlong=truncate"]
    other = load_plan(config, [*sets, *truncating])
    held = open_dataset(other, dataset.tokenizer)
    model = moved(one, dataset.tokenizer.vocab_size)

    def losses(plan: Any, name: str, data: Any) -> tuple[float, int]:
        return epoch_loss(
            model, make_data_loader(name, data, batch_size=7, seed=1, max_seq_len=size)
        )

    # Split differently, the two files hold the same chunks: all of them, one part after another.
    found = [losses(one, "text", part) for part in (dataset.train, dataset.val)]
    expected = [losses(other, "lines", part) for part in (held.train, held.val)]
    assert sum(n for _, n in found) == sum(n for _, n in expected) == len(text)
    ours, theirs = (sum(loss for loss, _ in one) for one in (found, expected))
    assert abs(ours / theirs - 1) < 1e-6
    by_text = {dataset.train.text(i): i for i in range(len(dataset.train))}
    assert set(by_text) == set(chunks[: len(by_text)])


def benches(folder: Path, *layouts: str) -> list[TrainingSetup]:
    return [make_setup(make_plan(folder, {"data.layout": layout})) for layout in layouts]


def test_packed_is_evaluated_line_by_line(tmp_path: Path) -> None:
    changes = {"train.learning_rate": 1e-9}
    sizes = {"lines": 16, "packed": 5}
    runs = {
        name: train(
            tmp_path / name, "r", changes={**changes, "data.layout": name, "train.batch_size": n}
        )
        for name, n in sizes.items()
    }
    for which in ("val", "train"):
        one, other = (split(run, which)[0] for run in runs.values())
        for figure in ("loss", "bits_per_byte"):
            assert one[figure] == pytest.approx(other[figure], rel=1e-6)


def test_a_text_is_evaluated_over_its_bytes(tmp_path: Path) -> None:
    (setup,) = benches(tmp_path, "text")
    text = "\n".join(phrases()) + "\n"
    parts = [setup.dataset.train, setup.dataset.val, setup.dataset.test]
    assert b"".join(part.utf8.tobytes() for part in parts) == text.encode()
    run = train(tmp_path / "run", "r", changes={"data.layout": "text", "train.batch_size": 4})
    (first, *_) = split(run, "val")
    val = setup.dataset.val
    # No start is worth a bit: n tokens at about ln(vocabulary) nats each, over the bytes alone.
    assert first["bits_per_byte"] == pytest.approx(
        first["loss"] * len(val.tokens) / (math.log(2) * len(val.utf8)), rel=1e-6
    )


def test_the_baselines_of_a_text(tmp_path: Path) -> None:
    run = train(tmp_path, "r", changes={"data.layout": "text", "train.batch_size": 4})
    text = "\n".join(phrases()) + "\n"
    cut, stop = int(len(text) * 0.8), int(len(text) * 0.95)
    model = CharNgram(1).fit([text[:cut]])
    expected = model.bits_per_byte([text[cut:stop]], has_eos=False)
    found = json.loads(run.summary_path.read_text())["baselines"]["character_unigram"]
    assert found["val_bits_per_byte"] == pytest.approx(expected, rel=1e-12)


def test_a_text_does_not_end(tmp_path: Path) -> None:
    """Its model never saw an end token, and none is drawn, however likely it is."""
    for layout, ends in (("text", 0), ("lines", 20)):
        (setup,) = benches(tmp_path / layout, layout)
        tokenizer = setup.dataset.tokenizer
        with torch.no_grad():
            for parameter in setup.model.norm.parameters():
                parameter.fill_(1.0)
            # Every hidden state points to the end token, all the same with tied embeddings.
            setup.model.embedding.weight[tokenizer.eos_id] = 0.0
            setup.model.head = torch.nn.Linear(16, tokenizer.vocab_size)
            setup.model.head.weight.zero_()
            setup.model.head.bias.zero_()
            setup.model.head.bias[tokenizer.eos_id] = 50.0
        done = generate(setup.model, setup.chain, tokenizer, [[]] * 20, max_new_tokens=5, seed=1)
        assert sum(c.stopped == "end" for c in done) == ends
        assert all(len(c.tokens) == 5 for c in done) == (layout == "text")


@pytest.mark.parametrize(
    ("layout", "data", "steps"),
    [
        ("lines", "test phrases", "16 phrases in 2 micro-batches"),
        ("packed", "test phrases", "16 rows in 2 micro-batches"),
        ("text", "test chunks", "16 chunks in 2 micro-batches"),
    ],
)
def test_dry_run(
    tmp_path: Path, layout: str, data: str, steps: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"data.layout": layout, "train.grad_accumulation": 2}
    config = write_config(tmp_path, changes)
    assert main(["train", "--config", str(config), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert data in told
    assert steps in told
    plan = load_plan(config)
    dataset = open_dataset(plan)
    rows = make_data_loader(layout, dataset.train, batch_size=16, seed=1, max_seq_len=48)
    means = []
    for step in range(min(20, rows.steps_per_epoch)):
        means.append(sum(part.n_targets for part in rows.micro_batches(step, 2)))
    assert f"tokens per step  {np.mean(means):,.0f} (" in told


@pytest.mark.parametrize("layout", ["packed", "text"])
def test_training_learns_and_counts(tmp_path: Path, layout: str) -> None:
    changes = {
        "data.layout": layout,
        "train.batch_size": 4,
        "train.max_steps": 25,
        "train.eval_interval": 25,
        "train.learning_rate": 0.03,
    }
    run = train(tmp_path, "r", changes=changes)
    first, last = split(run, "val")
    assert last["loss"] < first["loss"] - 0.3
    dataset = open_dataset(make_plan(tmp_path, changes))
    steps = make_data_loader(layout, dataset.train, batch_size=4, seed=1, max_seq_len=48)
    learned = [line["tokens"] for line in lines(run.metrics_path) if line["split"] == "batch"]
    parts = [steps.micro_batches(step, 1)[0] for step in range(25)]
    assert learned == np.cumsum([part.n_targets for part in parts]).tolist()
    assert last["epoch"] == round(25 / steps.steps_per_epoch, 4)


def test_the_step_divides_by_all_its_tokens(tmp_path: Path) -> None:
    """Slices of a packed step don't weigh its tokens differently."""
    found = [
        split(
            train(
                tmp_path / str(n),
                "r",
                changes={
                    "data.layout": "packed",
                    "train.batch_size": 6,
                    "train.grad_accumulation": n,
                },
            ),
            "batch",
        )
        for n in (1, 3, 6)
    ]
    for one in found[1:]:
        for a, b in zip(found[0], one, strict=True):
            assert a["tokens"] == b["tokens"]
            assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
            assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-4)


@pytest.mark.parametrize("setting", ["data.split_seed=3", "data.overlong=truncate"])
def test_what_a_text_has_no_use_for(
    tmp_path: Path, setting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, {"data.layout": "text"})
    assert main(["config", "check", str(config)]) == 0
    assert main(["config", "check", str(config), "--set", setting]) == 2
    told = capsys.readouterr().err
    assert setting.partition("=")[0] in told
    assert 'with layout = "text"' in told
