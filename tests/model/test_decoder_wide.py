"""A block may widen the residual stream, over each run of layers that have it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import make_plan
from torch import Tensor

from tp_core.errors import TpError
from tp_core.interfaces import SequenceInfo
from tp_core.model.decoder import Decoder
from tp_core.model.device import autocast_for
from tp_core.training.causality_probe import find_leak
from tp_core.training.dry_run import describe
from tp_core.training.smoke_test import smoke_test

V, T = 40, 6
TOKENS = torch.arange(2 * T).reshape(2, T)

WIDE: dict[str, Any] = {"model.block": {"name": "hyper_connections", "n": 2}}


def rows() -> SequenceInfo:
    return SequenceInfo.of_rows(torch.tensor([T, T]), T)


def widths(model: Decoder) -> list[tuple[int, ...]]:
    """The shape that each block is given."""
    seen: list[tuple[int, ...]] = []
    for block in model.blocks:
        block.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape[2:])))
    logits, _ = model(TOKENS, rows())
    assert list(logits.shape) == [2, T, V]
    return seen


def mixed(folder: Path, pattern: list[str], layers: dict[str, Any], n_layers: int) -> Decoder:
    changes = {"model.n_layers": n_layers, "model.pattern": pattern, "model.layers": layers}
    return Decoder(make_plan(folder, changes), V)


def test_each_run_of_a_block_enters_and_leaves(tmp_path: Path) -> None:
    model = mixed(
        tmp_path,
        ["a", "b", "c", "c", "d"],
        {
            "b": {"block": {"name": "hyper_connections", "n": 2}},
            "c": {"block": {"name": "hyper_connections", "n": 3}},
            "d": {"block": {"name": "hyper_connections", "n": 3}, "mlp": "gelu"},
        },
        6,
    )
    d = model.embedding.weight.shape[1]
    assert widths(model) == [(d,), (2, d), (3, d), (3, d), (3, d), (d,)]
    entered: list[int] = []
    for index, block in enumerate(model.blocks):
        if hasattr(block, "enter"):
            inner = block.enter
            block.enter = lambda x, index=index, inner=inner: (entered.append(index), inner(x))[1]
    model(TOKENS, rows())
    assert entered == [1, 2]


def test_what_looks_at_a_model_copes(tmp_path: Path) -> None:
    """The smoke test, the leak probe, and the dry run with its account of memory."""
    plan = make_plan(tmp_path, WIDE)
    model = Decoder(plan, V)
    smoke_test(model, autocast_for(torch.device("cpu"), "fp32"))
    assert find_leak(model, plan.components()) is None
    page = describe(plan)
    assert "unknown" not in page
    assert "hyper_connections" in page


@pytest.fixture
def with_class(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[type], Decoder]:
    """A model whose blocks have one more base class, as an author might have written them."""

    def build(methods: type) -> Decoder:
        module = sys.modules["tp_plugins.blocks.pre"]
        name = methods.__name__
        monkeypatch.setattr(module, "Pre", type(name, (methods, module.Pre), {}))
        return Decoder(make_plan(tmp_path, {"model.block": "pre"}), V)

    import tp_plugins.blocks.pre  # noqa: F401

    return build


def test_entering_without_leaving_is_refused(with_class: Callable[[type], Decoder]) -> None:
    class OnlyEnters:
        def enter(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(
        TpError, match=r"block 'pre' must have both enter\(\) and leave\(\), or neither"
    ):
        with_class(OnlyEnters)


def test_leaving_wide_is_found_by_the_smoke_test(with_class: Callable[[type], Decoder]) -> None:
    class StaysWide:
        def enter(self, x: Tensor) -> Tensor:
            return x[:, :, None]

        def leave(self, x: Tensor) -> Tensor:
            return x

        def forward(self, x: Tensor, seq: Any, state: Any) -> Any:
            y, state = super().forward(x[:, :, 0], seq, state)  # type: ignore[misc]
            return y[:, :, None], state

    model = with_class(StaysWide)
    with pytest.raises(TpError, match=r"block 'pre': leave\(\) returned shape .*not \[B, T, D\]"):
        smoke_test(model, autocast_for(torch.device("cpu"), "fp32"))
