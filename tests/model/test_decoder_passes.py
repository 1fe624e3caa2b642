"""A `SequenceInfo` is the channel of one pass: values of two never mix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import make_plan

from tp_core.errors import TpError
from tp_core.interfaces import SequenceInfo
from tp_core.model.decoder import Decoder

V, T = 40, 5
TOKENS = torch.arange(2 * T).reshape(2, T)
LEAVES = {
    "aux": ({"model.mlp": {"name": "moe", "n_experts": 3, "top_k": 2}}, "'moe_balance'"),
    "shared": ({"model.attention": {"name": "softmax", "value_residual": 0.5}}, "first value"),
}


def rows() -> SequenceInfo:
    return SequenceInfo.of_rows(torch.tensor([T, T]), T)


@pytest.mark.parametrize("kind", LEAVES)
@pytest.mark.parametrize("compiled", [False, True])
def test_a_sequence_that_served_a_pass_is_refused(
    kind: str, compiled: bool, tmp_path: Path
) -> None:
    changes, left = LEAVES[kind]
    model = Decoder(make_plan(tmp_path, changes), V)
    loss: Any = torch.compile(model.loss, backend="eager") if compiled else model.loss
    seq = rows()
    loss(TOKENS, TOKENS + 1, seq)
    with pytest.raises(TpError, match=f"an earlier forward pass.*{left}.*create a new one"):
        loss(TOKENS, TOKENS + 1, seq)
    loss(TOKENS, TOKENS + 1, rows())


@pytest.mark.parametrize("compiled", [False, True])
def test_auxiliary_losses_reach_who_made_the_batch(compiled: bool, tmp_path: Path) -> None:
    model = Decoder(make_plan(tmp_path, LEAVES["aux"][0]), V)
    loss: Any = torch.compile(model.loss, backend="eager") if compiled else model.loss
    found = []
    for _ in range(2):
        seq = rows()
        loss(TOKENS, TOKENS + 1, seq)
        found.append(float(seq.losses["moe_balance"].detach()))
    assert found[0] == found[1] > 0


def test_what_left_nothing_may_serve_again(tmp_path: Path) -> None:
    model, seq = Decoder(make_plan(tmp_path), V), rows()
    assert torch.equal(model(TOKENS, seq)[0], model(TOKENS, seq)[0])
