"""A pass in pieces is one pass: whatever the pieces, the pads, the idle rows, the documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import make_plan
from torch import Tensor

from tp_core.assembly.decoding_state import reorder
from tp_core.interfaces import SequenceInfo
from tp_core.model.decoder import Decoder

V, B, T = 40, 3, 12
CLOSE = 2e-5
ENCODINGS = ["rope", "learned", "sinusoidal", "none", "alibi", "fox"]
ATTENTIONS: dict[str, dict[str, Any]] = {
    "softmax": {"name": "softmax"},
    "window": {"name": "softmax", "window": 3, "n_kv_heads": 1},
    "all options": {
        "name": "softmax",
        "qk_norm": "rmsnorm",
        "softcap": 2.0,
        "sink": True,
        "gate": True,
        "value_residual": 0.5,
        "bias": True,
        "window": 5,
    },
    "linear": {"name": "linear"},
    "mla": {"name": "mla"},
}
CHUNKS = [[1] * T, [5, 4, 3], [2, 1, 7, 2], [T]]


def legal() -> Iterator[tuple[str, str]]:
    for attention in ATTENTIONS:
        for encoding in ENCODINGS:
            if attention != "linear" or encoding not in ("alibi", "fox"):
                yield encoding, attention


@pytest.fixture(params=list(legal()), ids=lambda pair: "-".join(pair))
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Decoder:
    encoding, attention = request.param
    changes = {
        "model.positional_encoding": encoding,
        "model.attention": ATTENTIONS[attention],
        "model.max_seq_len": 16,
    }
    model = Decoder(make_plan(tmp_path, changes), V).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def tokens_of(rows: int = B, length: int = T) -> Tensor:
    return torch.randint(V, (rows, length), generator=torch.Generator().manual_seed(6))


def full(model: Decoder, tokens: Tensor) -> Tensor:
    lengths = torch.full((len(tokens),), tokens.shape[1])
    logits: Tensor = model(tokens, SequenceInfo.of_rows(lengths, tokens.shape[1]))[0]
    return logits


def fresh(model: Decoder, rows: int = B, capacity: int = 16) -> Any:
    return model.init_state(rows, capacity, torch.device("cpu"), torch.float32)


@torch.no_grad()
def test_pieces(model: Decoder) -> None:
    tokens = tokens_of()
    expected = full(model, tokens)
    for sizes in CHUNKS:
        state, done = fresh(model), 0
        for size in sizes:
            positions = torch.arange(done, done + size).expand(B, size)
            logits, state = model(
                tokens[:, done : done + size], SequenceInfo.of_positions(positions), state
            )
            assert torch.allclose(logits, expected[:, done : done + size], atol=CLOSE), sizes
            done += size


@torch.no_grad()
def test_left_pads_and_idle_rows(model: Decoder) -> None:
    """Rows of several lengths, padded on the left; then a row idles, and rows change places."""
    tokens = tokens_of()
    expected = [full(model, tokens[row : row + 1])[0] for row in range(B)]
    lengths = torch.tensor([4, 1, 3])
    width = 4
    index = torch.arange(width) - (width - lengths)[:, None]
    padded = tokens.gather(1, index.clamp(min=0)).masked_fill(index < 0, 9)
    logits, state = model(padded, SequenceInfo.of_positions(index.clamp(min=-1)), fresh(model))
    for row, length in enumerate(lengths.tolist()):
        assert torch.allclose(logits[row, -1], expected[row][length - 1], atol=CLOSE)

    order = torch.tensor([2, 0, 1])
    state, rows = reorder(state, order), order.tolist()
    done = lengths[order].clone()
    for step in range(5):
        idle = torch.tensor([step == 1, step in (0, 3), False])
        now = tokens[order].gather(1, done[:, None])
        positions = torch.where(idle, -1, done)[:, None]
        logits, state = model(now, SequenceInfo.of_positions(positions), state)
        for at, row in enumerate(rows):
            if not idle[at]:
                assert torch.allclose(logits[at, 0], expected[row][done[at]], atol=CLOSE)
        done += (~idle).long()


@torch.no_grad()
def test_packed_documents(model: Decoder) -> None:
    """Two documents in a row are each as they would be alone, in one pass and in pieces."""
    first, second = tokens_of(1, 5), tokens_of(2, 4)[1:]
    expected = torch.cat([full(model, first), full(model, second)], 1)
    tokens = torch.cat([first, second], 1)
    positions = torch.tensor([[*range(5), *range(4)]])
    documents = torch.tensor([[0] * 5 + [1] * 4])
    logits, _ = model(tokens, SequenceInfo.of_positions(positions, documents))
    assert torch.allclose(logits, expected, atol=CLOSE)
    state = fresh(model, 1)
    for piece in (slice(0, 3), slice(3, 7), slice(7, 9)):
        seq = SequenceInfo.of_positions(positions[:, piece], documents[:, piece])
        logits, state = model(tokens[:, piece], seq, state)
        assert torch.allclose(logits, expected[:, piece], atol=CLOSE)


@torch.no_grad()
def test_no_token_sees_a_later_one(model: Decoder) -> None:
    tokens = tokens_of()
    changed = tokens.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % V
    a, b = full(model, tokens), full(model, changed)
    assert torch.allclose(a[:, :7], b[:, :7], atol=1e-6)
    assert not torch.allclose(a[:, 7], b[:, 7], atol=1e-3)
