"""Checks that where tokens lie in a batch doesn't matter: packed, padded, shifted."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tp_core.interfaces.positional_encoding import PositionalEncoding
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.kernel.kinds import SEQUENCE_KINDS
from tp_core.testing.forward_passes import ROUNDING, difference, rows_alone, rows_gathered, stream
from tp_core.testing.harness import Harness, modes
from tp_core.testing.inputs import LENGTH, SIZES, VOCAB, left_padded, noise, some_tokens
from tp_core.testing.registry import harness_check
from tp_core.testing.results import Finding, NotApplicable, Worst

_LENGTHS = torch.tensor([LENGTH, 7, 4])
# Documents per row, the rest of the row being pads; chunks that do and don't end with a document.
_PACKED = ((5, 4, 3), (2, 7, 2))
_PACKED_CHUNKS = ([12], [1] * 12, [3, 3, 3, 3])
_GAPS = ("xx..xxxx.xxx", "..xxx.xxxx..", "x....x.xx..x")
_GAP_CHUNKS = ([12], [3, 6, 3])


@harness_check(*SEQUENCE_KINDS)
def packing(harness: Harness) -> Finding:
    """Documents packed into one row give what each gives alone, also when read through a state."""
    worst = Worst(ROUNDING)
    width = 12
    positions, documents = torch.full((2, width), -1), torch.zeros(2, width, dtype=torch.int64)
    tokens = some_tokens(2, width, purpose="packed")
    spans = []
    for row, lengths in enumerate(_PACKED):
        start = 0
        for document, length in enumerate(lengths):
            positions[row, start : start + length] = torch.arange(length)
            documents[row, start:] = document
            spans.append((row, start, start + length))
            start += length
    with torch.no_grad():
        alone = rows_gathered(harness.model, [tokens[r, a:b] for r, a, b in spans])
        valid = positions >= 0
        packed = harness.model(tokens, SequenceInfo.of_positions(positions, documents))[0]
        worst.add(difference(packed[valid], alone), "packed rows")
        for chunks in _PACKED_CHUNKS:
            parts = stream(harness.model, tokens, positions, chunks, documents)
            worst.add(difference(parts[valid], alone), f"packed rows read in chunks of {chunks}")
    return worst.finding()


@harness_check(*SEQUENCE_KINDS)
def left_pad(harness: Harness) -> Finding:
    """Pads before a row change nothing, neither in one pass nor in a prompt that is continued."""
    worst = Worst(ROUNDING)
    positions = left_padded(_LENGTHS, LENGTH)
    tokens = some_tokens(3)
    with torch.no_grad():
        valid = positions >= 0
        alone = rows_gathered(
            harness.model, [row[at] for row, at in zip(tokens, valid, strict=True)]
        )
        whole = harness.model(tokens, SequenceInfo.of_positions(positions))[0]
        worst.add(difference(whole[valid], alone), "rows with pads before them")
        for chunks in ([LENGTH], [LENGTH - 2, 1, 1], [2, LENGTH - 2]):
            parts = stream(harness.model, tokens, positions, chunks)
            where = f"rows with pads before them, read in chunks of {chunks}"
            worst.add(difference(parts[valid], alone), where)
    return worst.finding()


@harness_check(*SEQUENCE_KINDS)
def pads_invisible(harness: Harness) -> Finding:
    """Pads after a row or in the middle of one are seen by no token, whatever their id."""
    worst = Worst(ROUNDING)
    rows = SequenceInfo.of_rows(_LENGTHS, LENGTH)
    tokens = some_tokens(3)
    others = torch.where(rows.valid, tokens, (tokens + 5) % VOCAB)
    active = torch.tensor([[turn == "x" for turn in row] for row in _GAPS])
    gaps = torch.where(active, active.cumsum(1) - 1, -1)
    gapped = some_tokens(len(gaps), gaps.shape[1], purpose="gaps")
    with torch.no_grad():
        for mode in modes(harness):
            alone = rows_alone(harness.model, tokens, rows.positions)
            for ids in (tokens, others):
                seq = SequenceInfo.of_rows(_LENGTHS, LENGTH)
                padded = harness.model(ids, seq)[0]
                worst.add(difference(padded[rows.valid], alone), f"pads after rows, {mode}")
        alone = rows_alone(harness.model, gapped, gaps)
        whole = harness.model(gapped, SequenceInfo.of_positions(gaps))[0]
        worst.add(difference(whole[active], alone), "pads between tokens")
        for chunks in _GAP_CHUNKS:
            parts = stream(harness.model, gapped, gaps, chunks)
            worst.add(
                difference(parts[active], alone), f"pads between tokens, in chunks of {chunks}"
            )
    return worst.finding()


@harness_check(*SEQUENCE_KINDS)
def plain_path(harness: Harness) -> Finding:
    """A plain batch gives what it gives when its positions are spelt out."""
    worst = Worst(ROUNDING)
    tokens = some_tokens(3)
    seq = SequenceInfo.of_rows(_LENGTHS, LENGTH)
    spelt = SequenceInfo.of_positions(seq.positions)
    with torch.no_grad():
        pair = [harness.model(tokens, one)[0][seq.valid] for one in (seq, spelt)]
        worst.add(difference(pair[0], pair[1]), "a plain batch")
    return worst.finding()


@harness_check("positional_encoding", first_only=True)
def positions_not_index(harness: Harness) -> Finding:
    """What it does to a token follows its position, not its place in the tensor.

    Tokens in any order, each with its position, come out as in their own order.
    """
    encoding = harness.build_component()
    sites = PositionalEncoding(encoding)
    batch, heads, dim = 2, SIZES["n_heads"], SIZES["d_model"]
    positions = torch.tensor([[3, 0, 7, 1, 4], [5, 2, 2, 9, 0]])
    order = torch.tensor([4, 1, 0, 3, 2])
    x = noise("tokens", batch, 5, dim)
    t = noise("heads", batch, heads, 5, dim // heads)
    permuted: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
        "embed": lambda: (
            encoding.embed(x[:, order], SequenceInfo.of_positions(positions[:, order])),
            encoding.embed(x, SequenceInfo.of_positions(positions))[:, order],
        ),
        "rotate": lambda: (
            torch.cat([sites.rotate(t[:, :, order], positions[:, order], w) for w in "qk"]),
            torch.cat([sites.rotate(t, positions, w)[:, :, order] for w in "qk"]),
        ),
        "bias": lambda: (
            encoding.bias(positions[:, order], positions),
            encoding.bias(positions, positions)[:, :, order],
        ),
    }
    worst = Worst(ROUNDING)
    acts = [site for site in permuted if hasattr(encoding, site)]
    if not acts:
        raise NotApplicable("acts at none of embed, rotate and bias")
    with torch.no_grad():
        for site in acts:
            now, before = permuted[site]()
            worst.add(difference(now, before), f"{site}() of tokens in another order")
    return worst.finding()
