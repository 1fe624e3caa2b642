"""Scores against the model asked line by line, without batches, padding or chunks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import phrases, split, train
from torch import Tensor

from tp_core.data.dataset import Dataset, TokenizedSplit
from tp_core.evaluation import token_losses
from tp_core.interfaces import SequenceInfo
from tp_core.report.losses import distinct_losses, split_losses
from tp_core.runs.data import open_run_data
from tp_core.runs.directory import RunDir
from tp_core.runs.opening import LoadedRun, open_run


def log_probabilities(loaded: LoadedRun, text: str, temperature: float = 1.0) -> tuple[Tensor, ...]:
    """Log-probabilities fp64 [T,V] of one line, and the tokens [T] that stand there."""
    tokenizer = loaded.tokenizer
    ids = [*tokenizer.encode(text), tokenizer.eos_id]
    tokens = torch.tensor([[tokenizer.bos_id, *ids[:-1]]])
    with torch.no_grad():
        logits, _ = loaded.model(tokens, SequenceInfo.of_rows(torch.tensor([len(ids)]), len(ids)))
    return torch.log_softmax(logits[0].double() / temperature, -1), torch.tensor(ids)


def nll(loaded: LoadedRun, text: str, temperature: float = 1.0) -> Tensor:
    log_p, ids = log_probabilities(loaded, text, temperature)
    return -log_p.gather(1, ids[:, None])[:, 0]


def test_val_line_by_line(loaded: LoadedRun, dataset: Dataset) -> None:
    val = split_losses(loaded, dataset)["val"]
    texts = dataset.val.texts()
    assert val.nll == pytest.approx([float(nll(loaded, t).sum()) for t in texts], rel=1e-5)
    assert val.bytes.tolist() == [len(text.encode()) + 1 for text in texts]
    assert val.tokens.tolist() == [len(loaded.tokenizer.encode(text)) + 1 for text in texts]


def test_val_token_by_token(loaded: LoadedRun, dataset: Dataset) -> None:
    val = split_losses(loaded, dataset)["val"]
    tokens = val.token_losses
    assert tokens is not None
    texts = dataset.val.texts()
    pairs = [log_probabilities(loaded, text) for text in texts]
    wanted = torch.cat([-log_p.gather(1, ids[:, None])[:, 0] for log_p, ids in pairs])
    assert tokens.nll == pytest.approx(wanted.numpy(), rel=1e-4, abs=1e-5)
    starts = np.cumsum(val.tokens) - val.tokens
    assert np.add.reduceat(tokens.nll.astype(float), starts) == pytest.approx(val.nll, rel=1e-5)
    assert tokens.position.tolist() == [i for n in val.tokens for i in range(n)]
    assert np.flatnonzero(tokens.end).tolist() == (starts + val.tokens - 1).tolist()
    highest = torch.cat([log_p.max(-1).values for log_p, _ in pairs]).exp()
    assert tokens.confidence == pytest.approx(highest.numpy(), rel=1e-4)
    right = torch.cat([log_p.argmax(-1) == ids for log_p, ids in pairs])
    assert tokens.correct.tolist() == right.tolist()
    kinds = [(a.dtype, len(a)) for a in (tokens.nll, tokens.position, tokens.confidence)]
    assert kinds == [(t, len(wanted)) for t in (np.float32, np.int32, np.float32)]


def test_every_temperature(loaded: LoadedRun, dataset: Dataset) -> None:
    tokens = split_losses(loaded, dataset)["val"].token_losses
    assert tokens is not None
    assert tokens.temperatures.min() == 0.25
    assert tokens.temperatures.max() == 4
    assert 1.0 in tokens.temperatures
    for temperature, found in zip(tokens.temperatures, tokens.nll_at, strict=True):
        wanted = sum(float(nll(loaded, t, temperature).sum()) for t in dataset.val.texts())
        assert found == pytest.approx(wanted, rel=1e-5)


def test_chunks_change_nothing(
    loaded: LoadedRun, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = split_losses(loaded, dataset)["val"].token_losses
    monkeypatch.setattr(token_losses, "_CHUNK", 3 * loaded.tokenizer.vocab_size)
    parts = split_losses(loaded, dataset)["val"].token_losses
    assert whole is not None
    assert parts is not None
    assert parts.correct.tolist() == whole.correct.tolist()
    assert parts.confidence == pytest.approx(whole.confidence, rel=1e-6)
    assert parts.nll_at == pytest.approx(whole.nll_at, rel=1e-9)


def test_what_training_wrote_is_what_a_report_finds(run: RunDir) -> None:
    """The last evaluation, to the bit on train, where the same batches are scored."""
    loaded = open_run(run, "last")
    scores = split_losses(loaded, open_run_data(loaded))
    last = {name: split(run, name)[-1] for name in ("train", "val")}
    assert scores["train"].loss == last["train"]["loss"]
    assert scores["train"].bits_per_byte == last["train"]["bits_per_byte"]
    assert scores["val"].loss == pytest.approx(last["val"]["loss"], rel=1e-12)


def test_distinct_phrases_in_the_order_they_first_come(tmp_path: Path) -> None:
    base = phrases(60)
    run = train(tmp_path, "r", changes={"train.max_steps": 2})
    data = tmp_path / "phrases.txt"
    data.write_text("\n".join([*base, *base[:30], *base[10:20]]) + "\n", encoding="utf-8")
    record = json.loads(run.provenance_path.read_text())
    record["data"]["sha256"] = hashlib.sha256(data.read_bytes()).hexdigest()
    run.provenance_path.write_text(json.dumps(record))
    loaded = open_run(run)
    dataset = open_run_data(loaded)
    texts = {"train": dataset.train.texts(), "val": dataset.val.texts()}
    assert len(texts["train"]) > len(set(texts["train"]))
    found = distinct_losses(loaded, dataset, texts, split_losses(loaded, dataset)["val"])
    for name, lines in texts.items():
        wanted = [float(nll(loaded, text).sum()) for text in dict.fromkeys(lines)]
        assert found[name].nll == pytest.approx(wanted, rel=1e-5)
        assert found[name].token_losses is None


def test_no_lines_at_all(loaded: LoadedRun, dataset: Dataset) -> None:
    empty = replace(dataset, val=_none(dataset))
    val = split_losses(loaded, empty)["val"]
    assert (len(val.nll), val.loss, val.bits_per_byte) == (0, None, None)
    assert val.token_losses is not None
    assert len(val.token_losses.nll) == 0
    assert val.token_losses.nll_at.tolist() == [0.0] * len(token_losses.TEMPERATURES)


def _none(dataset: Dataset) -> TokenizedSplit:
    val = dataset.val
    return replace(
        val,
        tokens=val.tokens[:0],
        offsets=val.offsets[:1],
        has_eos=val.has_eos[:0],
        bytes_=val.bytes_[:0],
        numbers=val.numbers[:0],
        utf8=val.utf8[:0],
    )
