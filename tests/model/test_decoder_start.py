"""How a model begins: start values by component, ties, and what each parameter counts as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import make_plan
from torch import nn

from tp_core.model.decoder import Decoder

V = 40


def start(folder: Path, changes: dict[str, Any] | None = None) -> dict[str, torch.Tensor]:
    return Decoder(make_plan(folder, changes), V).state_dict()


def roles(folder: Path, changes: dict[str, Any] | None = None) -> dict[str, str]:
    model = Decoder(make_plan(folder, changes), V)
    return {info.name: info.role for info in model.parameter_infos(0.1, 0.5)}


# What is swapped, and the only parameters whose start may differ or come or go with it.
SWAPS = [
    ({"model.mlp": "gelu"}, [".mlp."]),
    ({"model.mlp": {"name": "swiglu", "expansion": 4.0}}, [".mlp."]),
    ({"model.norm": "layernorm"}, ["norm"]),
    ({"model.positional_encoding": "learned"}, ["encodings."]),
    ({"model.positional_encoding": "fox"}, ["encodings."]),
    ({"model.attention": "linear"}, [".attention."]),
    ({"model.attention": {"name": "softmax", "qk_norm": "rmsnorm", "gate": True}}, [".attention."]),
    ({"model.block": "sandwich"}, ["norm"]),
    ({"model.mlp_enabled": False}, [".mlp"]),
    ({"model.tie_embeddings": False}, ["head."]),
    ({"model.n_layers": 3}, ["blocks.2.", ".out.", ".down."]),  # depth scales what is added
    ({"model.pattern": ["a", "b"], "model.layers": {"b": {"mlp": "gelu"}}}, ["blocks.1.mlp."]),
]


@pytest.mark.parametrize(("changes", "concerned"), SWAPS)
def test_swapping_one_component_leaves_every_other_start(
    changes: dict[str, Any], concerned: list[str], tmp_path: Path
) -> None:
    before, after = start(tmp_path), start(tmp_path, changes)
    shared = [name for name in before if not any(part in name for part in concerned)]
    assert "embedding.weight" in shared
    assert len(shared) > 3
    for name in shared:
        assert torch.equal(before[name], after[name]), name
    assert all(any(part in name for part in concerned) for name in after.keys() - before.keys())


def test_starts_differ_from_each_other_and_by_seed(tmp_path: Path) -> None:
    a, b = start(tmp_path), start(tmp_path, {"train.seed": 2})
    matrices = {name: tensor for name, tensor in a.items() if tensor.ndim == 2}
    assert all(not torch.equal(tensor, b[name]) for name, tensor in matrices.items())
    by_shape: dict[torch.Size, list[torch.Tensor]] = {}
    for tensor in matrices.values():
        assert not any(torch.equal(tensor, other) for other in by_shape.get(tensor.shape, []))
        by_shape.setdefault(tensor.shape, []).append(tensor)


def test_a_start_is_no_business_of_the_global_generator(tmp_path: Path) -> None:
    torch.manual_seed(1)
    a = start(tmp_path)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    b = start(tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_scale_of_start_values(tmp_path: Path) -> None:
    """Weights N(0, 1/d_in), what adds to the residual stream scaled by 1/√(2·n_layers)."""
    values = start(tmp_path, {"model.d_model": 128, "model.n_layers": 8})
    expected = {"q": 128**-0.5, "out": 128**-0.5 / 4, "up": 128**-0.5, "down": 341**-0.5 / 4}
    for part, std in expected.items():
        kind = "attention" if part in ("q", "out") else "mlp"
        found = [values[f"blocks.{i}.{kind}.{part}.weight"].std().item() for i in range(8)]
        assert found == pytest.approx([std] * 8, rel=0.05)
    assert values["embedding.weight"].std().item() == pytest.approx(0.02, rel=0.05)


def test_tied_embeddings_are_one_tensor(tmp_path: Path) -> None:
    tied = Decoder(make_plan(tmp_path), V)
    untied = Decoder(make_plan(tmp_path, {"model.tie_embeddings": False}), V)
    assert sum(p.numel() for p in untied.parameters()) == V * 16 + sum(
        p.numel() for p in tied.parameters()
    )
    assert untied.head is not None
    assert not torch.equal(untied.head.weight, untied.embedding.weight)


def test_roles(tmp_path: Path) -> None:
    changes = {
        "model.tie_embeddings": False,
        "model.positional_encoding": "learned",
        "model.attention": {"name": "softmax", "bias": True, "qk_norm": "rmsnorm", "sink": True},
        "model.norm": "layernorm",
    }
    found = roles(tmp_path, changes)
    expected = {
        "embedding.weight": "embedding",
        "encodings.learned.table.weight": "embedding",
        "head.weight": "head",
        "blocks.0.attention.q.weight": "hidden",
        "blocks.0.attention.q.bias": "bias",
        "blocks.0.attention.sink": "scalar",
        "blocks.0.mlp.gate.weight": "hidden",
    }
    assert {name: found[name] for name in expected} == expected
    norms = {role for name, role in found.items() if "norm." in name}
    assert norms == {"norm"}
    model = Decoder(make_plan(tmp_path, changes), V)
    for info in model.parameter_infos(0.1, 0.5):
        assert info.learning_rate == 0.1
        assert info.weight_decay == (0.5 if info.role in ("hidden", "embedding", "head") else 0)


@pytest.mark.parametrize("encoding", ["rope", "learned", "sinusoidal", "none", "alibi", "fox"])
def test_each_parameter_is_stored_once(encoding: str, tmp_path: Path) -> None:
    """An encoding that several places use is saved under one name, and loads from there."""
    model = Decoder(make_plan(tmp_path, {"model.positional_encoding": encoding}), V)
    state = model.state_dict()
    places = [tensor.data_ptr() for tensor in state.values() if tensor.numel()]
    assert len(set(places)) == len(places)
    assert {name for name, _ in model.named_parameters()} <= state.keys()


def test_an_encoding_is_shared_by_the_layers_that_use_it(tmp_path: Path) -> None:
    changes = {
        "model.n_layers": 3,
        "model.pattern": ["a", "a", "b"],
        "model.layers": {"b": {"positional_encoding": {"name": "rope", "base": 50.0}}},
    }
    model = Decoder(make_plan(tmp_path, changes), V)
    assert len(model.encodings) == 2
    assert all(isinstance(encoding, nn.Module) for encoding in model.encodings.values())
