"""Running a model over a batch in one way or another, and comparing what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tp_core.interfaces.sequence import SequenceInfo
from tp_core.model.decoder import Decoder
from tp_core.testing.generators import drawing_from
from tp_core.testing.inputs import CPU, full_rows

# What fp32 rounding may add up to where the same sums are taken in another order, as a share of the
# outputs' root mean square. The largest measured over the built-in components and their pairs is
# 1.7e-5 (a long row in chunks), and 5e-6 in short rows; the least that the broken components of the
# kit's own tests differ by is 1e-2.
ROUNDING = 1e-4


@contextmanager
def training(module: nn.Module) -> Iterator[None]:
    """The module in training mode, and in its own again afterwards."""
    before = module.training
    module.train()
    try:
        yield
    finally:
        module.train(before)


def seeded(seed: int, model: Decoder, tokens: Tensor, seq: SequenceInfo) -> tuple[Tensor, Any]:
    """A forward pass whose dropout draws from `seed`, and leaves no trace."""
    with drawing_from(seed):
        result: tuple[Tensor, Any] = model(tokens, seq)
    return result


def through_block(block: Any, x: Tensor, seq: SequenceInfo) -> Any:
    """What a block returns of x [B, T, D] as the model's only layer, its own stream left again."""
    wide = hasattr(block, "enter")
    returned = block(block.enter(x) if wide else x, seq, None)
    if not wide or not isinstance(returned, tuple):
        return returned
    return block.leave(returned[0]), *returned[1:]


def stream(
    model: Decoder,
    tokens: Tensor,
    positions: Tensor,
    chunks: list[int],
    documents: Tensor | None = None,
) -> Tensor:
    """Logits [B, T, V] of tokens read chunk by chunk through a state with no room to spare."""
    state = model.init_state(len(tokens), capacity(positions), CPU, torch.float32)
    outputs, start = [], 0
    for size in chunks:
        here = slice(start, start + size)
        seq = SequenceInfo.of_positions(
            positions[:, here], None if documents is None else documents[:, here]
        )
        logits, after = model(tokens[:, here], seq, state)
        assert after is not None
        state = after
        outputs.append(logits)
        start += size
    return torch.cat(outputs, 1)


def rows_alone(model: Decoder, tokens: Tensor, positions: Tensor) -> Tensor:
    """Logits of every token, its row without pads and on its own: [tokens, V]."""
    rows = [row[at >= 0][None] for row, at in zip(tokens, positions, strict=True)]
    return torch.cat([model(row, full_rows(1, row.shape[1]))[0][0] for row in rows])


def rows_gathered(model: Decoder, rows: list[Tensor]) -> Tensor:
    """Logits of every token of some rows, read in one batch with pads after them: [tokens, V]."""
    lengths = torch.tensor([len(row) for row in rows])
    seq = SequenceInfo.of_rows(lengths, int(lengths.max()))
    tokens = torch.zeros_like(seq.positions)
    tokens[seq.valid] = torch.cat(rows)
    logits: Tensor = model(tokens, seq)[0][seq.valid]
    return logits


def capacity(positions: Tensor) -> int:
    """The most tokens any row has: pads and idle steps take no room."""
    return int((positions >= 0).sum(1).max())


def difference(a: Tensor, b: Tensor) -> float:
    """The largest deviation between two tensors, relative to the root mean square of the second."""
    if a.shape != b.shape:
        return float("inf")
    if not a.numel():
        return 0.0
    a, b = a.detach().double(), b.detach().double()
    scale = b.square().mean().sqrt().clamp(min=1e-12)
    return float((a - b).abs().max() / scale)
