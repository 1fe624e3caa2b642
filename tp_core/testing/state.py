"""Checks of decoding with a state: whatever the chunks, it gives what the whole row gives."""

from __future__ import annotations

import torch
from torch import Tensor

from tp_core.assembly.decoding_state import reorder
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.interfaces.state import State
from tp_core.kernel.kinds import SEQUENCE_KINDS
from tp_core.model.decoder import Decoder
from tp_core.testing.forward_passes import ROUNDING, capacity, difference, rows_gathered, stream
from tp_core.testing.harness import Harness
from tp_core.testing.inputs import CPU, LENGTH, LONG, full_rows, some_tokens
from tp_core.testing.registry import harness_check
from tp_core.testing.results import Finding, Worst

# Token by token; at once; chunks shorter and longer than a window of 3; a prompt, then tokens.
CHUNKINGS = ([1] * LENGTH, [LENGTH], [2, 5, 1, 2], [6, 1, 1, 1, 1])

LONG_CHUNKS = [67, 1, 72]

# x reads a token, . idles. Between chunk borders rows idle wholly, partly and not at all.
_TURNS = ("xxxxxxxxxx..", ".xx..xxx.xxx", "x...xx.xx..x")
_TURN_CHUNKS = ([1] * 12, [1, 3, 2, 2, 4])


@harness_check(*SEQUENCE_KINDS)
def incremental(harness: Harness) -> Finding:
    """A row read through a state, in chunks of any size, gives what the whole row gives."""
    worst = Worst(ROUNDING)
    tokens, seq = some_tokens(2), full_rows(2)
    with torch.no_grad():
        whole = harness.model(tokens, seq)[0]
        for chunks in CHUNKINGS:
            parts = stream(harness.model, tokens, seq.positions, chunks)
            worst.add(difference(parts, whole), f"read in chunks of {chunks}")
        tokens, seq = some_tokens(2, LONG), full_rows(2, LONG)
        parts = stream(harness.model, tokens, seq.positions, LONG_CHUNKS)
        whole = harness.model(tokens, seq)[0]
        worst.add(difference(parts, whole), f"a long row read in chunks of {LONG_CHUNKS}")
    return worst.finding()


@harness_check(*SEQUENCE_KINDS)
def idle_rows(harness: Harness) -> Finding:
    """A row at position −1 keeps its state, and what it says later is as if it hadn't idled."""
    worst = Worst(ROUNDING)
    active = torch.tensor([[turn == "x" for turn in row] for row in _TURNS])
    positions = torch.where(active, active.cumsum(1) - 1, -1)
    tokens = some_tokens(len(positions), positions.shape[1], purpose="turns")
    with torch.no_grad():
        rows = [row[turns] for row, turns in zip(tokens, active, strict=True)]
        alone = rows_gathered(harness.model, rows)
        for chunks in _TURN_CHUNKS:
            outputs, moved = _take_turns(harness.model, tokens, positions, chunks)
            worst.add(difference(outputs[active], alone), f"rows that idle, in chunks of {chunks}")
            worst.add(moved, f"the state of a row that idles, in chunks of {chunks}")
    return worst.finding()


def _take_turns(
    model: Decoder, tokens: Tensor, positions: Tensor, chunks: list[int]
) -> tuple[Tensor, float]:
    """Logits chunk by chunk, and the largest change in the state of a row that idled through one,
    relative to what its tensor holds."""
    state = model.init_state(len(tokens), capacity(positions), CPU, torch.float32)
    outputs, largest, start = [], 0.0, 0
    for size in chunks:
        here = slice(start, start + size)
        idle = (positions[:, here] < 0).all(1)
        before = {name: value[idle].clone() for name, value in leaves(state).items()}
        seq = SequenceInfo.of_positions(positions[:, here])
        logits, after = model(tokens[:, here], seq, state)
        assert after is not None
        state = after
        for name, now in leaves(state).items() if idle.any() else ():
            # A state may also grow by a slot for all rows; then it can't be compared like this.
            if name in before and before[name].shape == now[idle].shape:
                largest = max(largest, difference(now[idle], before[name]))
        outputs.append(logits)
        start += size
    return torch.cat(outputs, 1), largest


@harness_check(*SEQUENCE_KINDS)
def state_reorder(harness: Harness) -> Finding:
    """Rows of a state can be dropped, repeated and permuted, and go on by themselves.

    For that it is a nested dict of tensors with the rows on dim 0.
    """
    worst = Worst(ROUNDING)
    tokens, cut = some_tokens(3), 4
    rows = torch.tensor([2, 0, 0, 1])
    onward = some_tokens(4, LENGTH - cut, purpose="onward")
    with torch.no_grad():
        state = harness.model.init_state(3, LENGTH, CPU, torch.float32)
        state = _read(harness.model, tokens[:, :cut], 0, state)[1]
        fault = malformed(state, 3)
        if fault:
            return Finding(fault)
        picked = reorder(state, rows)
        for prompt, rest, start, where in (
            (tokens, tokens[:, cut:], state, "the rows it was picked from"),
            (tokens[rows], onward, picked, "picked rows"),
        ):
            whole = torch.cat([prompt[:, :cut], rest], 1)
            expected = harness.model(whole, full_rows(len(whole)))[0][:, cut:]
            first, after = _read(harness.model, rest[:, :1], cut, start)
            second = _read(harness.model, rest[:, 1:], cut + 1, after)[0]
            worst.add(difference(torch.cat([first, second], 1), expected), where)
    return worst.finding()


def _read(model: Decoder, tokens: Tensor, start: int, state: State) -> tuple[Tensor, State]:
    positions = torch.arange(start, start + tokens.shape[1]).expand_as(tokens)
    logits, after = model(tokens, SequenceInfo.of_positions(positions), state)
    assert after is not None
    return logits, after


def leaves(state: State, path: str = "") -> dict[str, Tensor]:
    """A state's tensors by the path to them."""
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        inner = f"{path}.{name}" if path else name
        found.update(leaves(value, inner) if isinstance(value, dict) else {inner: value})
    return found


def malformed(state: object, batch: int) -> str:
    """What keeps a state from being a nested dict of tensors with `batch` rows, if anything."""
    if not isinstance(state, dict):
        return f"the state is {type(state).__name__}, not a dict"
    for name, value in leaves(state).items():
        if not isinstance(value, Tensor):
            return f"state '{name}' is {type(value).__name__}, not a tensor"
        if not value.ndim or len(value) != batch:
            return f"state '{name}' is {list(value.shape)}: its dim 0 must be the batch of {batch}"
    return ""
