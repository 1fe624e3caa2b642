"""A method may take fewer arguments than its contract offers; its author's own calls stay as they
are written."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tp_core.assembly.fewer_arguments import adapt
from tp_core.assembly.watched_outputs import checked_outputs
from tp_core.errors import TpError
from tp_core.interfaces import SequenceInfo

X = torch.arange(6.0).reshape(1, 2, 3)
SEQ = SequenceInfo.of_rows(torch.tensor([2]), 2)


class Halves(nn.Module):
    """An MLP that halves its input, `depth` times."""

    def __init__(self, depth: int = 1) -> None:
        super().__init__()
        self.depth = depth
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor, depth: int | None = None) -> Tensor:
        depth = self.depth if depth is None else depth
        return x if depth == 0 else self.forward(self.weight * x, depth - 1)


class Doubles(Halves):
    """Another component on top of it: each of `depth` + 1 calls doubles too."""

    def forward(self, x: Tensor, depth: int | None = None) -> Tensor:
        return 2 * super().forward(x, depth)


class Remembers(nn.Module):
    """An attention without memory, whose `init_state` wants to know little."""

    def init_state(self, batch: int, device: torch.device) -> dict[str, Tensor]:
        return {"seen": torch.zeros(batch, device=device)}

    def forward(self, x: Tensor, state: Any = None, seq: Any = None) -> tuple[Tensor, Any]:
        own = self.init_state(len(x), x.device)
        named = self.init_state(batch=len(x), device=x.device)
        assert own.keys() == named.keys()
        return x + own["seen"][:, None, None], state


class ByName(nn.Module):
    def forward(self, x: Tensor, *, seq: SequenceInfo) -> Tensor:
        return x * seq.valid[..., None]


class Everything(nn.Module):
    def forward(self, *args: Any) -> Any:
        return args


class Greedy:
    def __call__(self, logits: Tensor) -> Tensor:
        return logits if logits.ndim == 1 else torch.stack([self(row) for row in logits])


def made(cls: type, kind: str, *args: Any) -> Any:
    return adapt(cls, kind, ())(*args)


def test_a_method_is_called_as_its_contract_and_as_its_author_has_it() -> None:
    halves = made(Halves, "mlp", 2)
    assert torch.equal(halves(X, SEQ), X / 4)
    assert torch.equal(halves(X), X / 4)
    assert torch.equal(halves(X, 1), X / 2)  # as many arguments as the contract's, but no `seq`
    assert torch.equal(halves(x=X, depth=3), X / 8)
    assert torch.equal(halves.forward(X, depth=0), X)


def test_a_class_and_the_one_it_extends_may_both_be_components() -> None:
    assert torch.equal(made(Doubles, "mlp", 3)(X, SEQ), 2 * X)
    assert torch.equal(made(Halves, "mlp", 3)(X, SEQ), X / 8)
    assert torch.equal(Doubles(3)(X), 2 * X)


def test_an_attention_calls_its_own_init_state() -> None:
    attention = made(Remembers, "attention")
    assert list(attention.init_state(2, 8, X.device, X.dtype)["seen"].shape) == [2]
    y, state = attention(X, SEQ, {"of": "seen"})  # in another order than its own
    assert torch.equal(y, X)
    assert state == {"of": "seen"}


def test_arguments_by_name_and_any_number_of_them() -> None:
    assert torch.equal(made(ByName, "mlp")(X, SEQ), X)
    assert made(Everything, "mlp")(X, SEQ) == (X, SEQ)
    assert torch.equal(made(Greedy, "sampler")(X[0], object()), X[0])


def test_it_looks_like_the_class_its_author_wrote() -> None:
    halves = made(Halves, "mlp")
    assert isinstance(halves, Halves)
    assert type(halves).__name__ == "Halves"
    assert repr(halves) == repr(Halves())
    assert list(halves.state_dict()) == ["weight"]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, "pickle", "torch"])
def test_a_copy_takes_the_same_calls_and_is_not_the_original(copied: Any) -> None:
    halves = made(Halves, "mlp", 2)
    if copied == "pickle":
        twin = pickle.loads(pickle.dumps(halves))
    elif copied == "torch":
        file = io.BytesIO()
        torch.save(halves, file)
        file.seek(0)
        twin = torch.load(file, weights_only=False)
    else:
        twin = copied(halves)
    assert type(twin) is type(halves)
    assert torch.equal(twin(X, SEQ), X / 4)
    twin.depth = 1
    assert torch.equal(twin(X, SEQ), X / 2)
    assert torch.equal(halves(X, SEQ), X / 4)


def test_watching_checks_calls_of_the_contract_only() -> None:
    from types import SimpleNamespace

    seen = []

    def check(args: tuple[Any, ...], result: Any) -> None:
        seen.append(len(args))

    halves, resolved = made(Halves, "mlp", 2), SimpleNamespace(kind="mlp", name="halves")
    with checked_outputs([(halves, resolved)], {"mlp": {"forward": check}}):  # type: ignore[list-item]
        halves(X, SEQ)
        halves(x=X)
    assert seen == [2]


def test_compiled_it_is_called_the_same() -> None:
    halves = made(Halves, "mlp", 2)
    compiled = torch.compile(halves, backend="eager", fullgraph=True)
    assert torch.equal(compiled(X, SEQ), X / 4)


def test_what_is_not_offered_cannot_be_asked_for() -> None:
    class Greedier:
        def __call__(self, logits: Tensor, temperature: float) -> Tensor:
            return logits

    with pytest.raises(
        TpError, match="has an unknown parameter 'temperature'; available: logits, step"
    ):
        adapt(Greedier, "sampler", ())
