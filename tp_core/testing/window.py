"""Checks of an attention with an option named `window`: how far it looks, and how much it keeps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tp_core.assembly.decoding_state import size_in_bytes
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.interfaces.state import State
from tp_core.testing.cases import Case
from tp_core.testing.harness import Harness
from tp_core.testing.inputs import CPU, PATHS, SIZES, noise
from tp_core.testing.registry import harness_check
from tp_core.testing.results import Finding, NotApplicable, Worst


def _has_window(case: Case) -> bool:
    window = case.variant.options.get("window")
    return isinstance(window, int) and not isinstance(window, bool)


@harness_check("attention", when=_has_window, first_only=True)
def window_bounds(harness: Harness) -> Finding:
    """Exactly the last `window` tokens matter, a query's own included, with and without a state.

    Tolerance 0: a token outside has weight zero, and one inside any weight but zero.
    """
    attention, window, length = _setting(harness)
    query = torch.arange(length)[:, None]
    distance = query - torch.arange(length)
    expected = (distance >= 0) & (distance < window)
    for path, sequence in PATHS.items():
        x = noise("window", 1, length, SIZES["d_model"]).requires_grad_()
        y = attention(x, sequence(1, length), None)[0]
        weights = noise("cotangent", *y.shape[1:])
        matters = torch.stack(
            [
                torch.autograd.grad((y[0, at] * weights[at]).sum(), x, retain_graph=True)[0][0].any(
                    -1
                )
                for at in range(length)
            ]
        )
        fault = _mismatch(matters, expected, path)
        if fault:
            return Finding(fault)
    with torch.no_grad():
        x = noise("window", 1, length, SIZES["d_model"])
        for chunks in ([1] * length, [window + 2, *[1] * (length - window - 2)], [length]):
            base = _through_state(attention, x, chunks)
            columns = []
            for at in range(length):
                changed = x.clone()
                changed[0, at] += noise("change", SIZES["d_model"])
                columns.append((_through_state(attention, changed, chunks) != base)[0].any(-1))
            fault = _mismatch(torch.stack(columns, 1), expected, f"in chunks of {chunks}")
            if fault:
                return Finding(fault)
    return Worst(0.0).finding()


@harness_check("attention", when=_has_window, first_only=True)
def window_state(harness: Harness) -> Finding:
    """However long the row, the state is no larger than that of a row as long as the window."""
    attention, window, length = _setting(harness)
    x = noise("window", 1, length, SIZES["d_model"])
    with torch.no_grad():
        short, long = (
            size_in_bytes(_states(attention, x[:, :n], [1] * n)[1]) for n in (window, length)
        )
    worst = Worst(1.0)
    worst.add(long / max(short, 1), f"the state after {length} tokens, over that after {window}")
    return worst.finding()


def _setting(harness: Harness) -> tuple[Any, int, int]:
    window = int(harness.resolved.options.model_dump()["window"])
    length = min(2 * window + 4, SIZES["max_seq_len"])
    if length < window + 3:
        raise NotApplicable(f"a window of {window} is too wide for rows of {length}; try 3")
    return harness.build_component(), window, length


def _mismatch(matters: Tensor, expected: Tensor, where: str) -> str:
    wrong = (matters != expected).nonzero()
    if not len(wrong):
        return ""
    query, key = wrong[0].tolist()
    verb = "reaches" if matters[query, key] else "doesn't reach"
    window = int(expected.sum(1).max())
    return f"with a window of {window}, token {key} {verb} the output of token {query} ({where})"


def _through_state(attention: Any, x: Tensor, chunks: list[int]) -> Tensor:
    return _states(attention, x, chunks)[0]


def _states(attention: Any, x: Tensor, chunks: list[int]) -> tuple[Tensor, State]:
    state = attention.init_state(1, x.shape[1], CPU, torch.float32)
    outputs, start = [], 0
    for size in chunks:
        seq = SequenceInfo.of_positions(torch.arange(start, start + size)[None])
        y, state = attention(x[:, start : start + size], seq, state)
        outputs.append(y)
        start += size
    return torch.cat(outputs, 1), state
