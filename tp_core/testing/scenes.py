"""Tiny real models around one component, with plain partners for everything else.

A scene is one such model. Attentions are seen with every partner encoding they can serve, encodings
with a partner attention that offers every site, with and without a window.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tp_core.component import SITES
from tp_core.config.files import Source
from tp_core.config.plan import Plan, make_plan
from tp_core.config.resolve import Chosen
from tp_core.errors import ConfigError
from tp_core.interfaces.build import Builder
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.model import Decoder
from tp_core.options import Dims
from tp_core.plugins import Catalogue
from tp_core.streams import stream_key
from tp_core.testing.partners import partner

# Small enough to be quick; even, and with several heads, so that most sizes divide.
SIZES = {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 24}
VOCAB = 29
LENGTH = 10  # tokens in most rows
CPU = torch.device("cpu")

MODEL_KINDS = ("positional_encoding", "attention", "norm", "mlp", "block")
SEQUENCE_KINDS = ("positional_encoding", "attention", "block")  # see more than one position


@dataclass(frozen=True, eq=False)
class Scene:
    """A plan with the component of `kind` under test in it; `label` tells its scenes apart."""

    kind: str
    label: str
    plan: Plan

    @property
    def chosen(self) -> Chosen:
        """The component under test."""
        plan = self.plan
        loose = {"optimizer": plan.optimizer, "schedule": plan.schedule}
        if self.kind in loose:
            return loose[self.kind]
        if self.kind in ("sampler", "metric"):
            return (plan.samplers if self.kind == "sampler" else plan.metrics)[0]
        return plan.layers[0][self.kind]

    @property
    def dims(self) -> Dims:
        return replace(self.plan.dims, layer_index=0)

    @cached_property
    def model(self) -> Decoder:
        """A model to look at in evaluation mode, its start values moved; not to be changed."""
        return self.build_model()

    @cached_property
    def stochastic(self) -> bool:
        """Whether the model draws random numbers in training, so that two passes differ."""
        tokens, seq = some_tokens(2), plain(2)
        with training(self.model), torch.no_grad():
            first, second = (seeded(seed, self.model, tokens, seq)[0] for seed in (0, 1))
        return not torch.equal(first, second)

    def build_model(self, seed: int = 1, *, moved: bool = True, dropout: float = 0.0) -> Decoder:
        """A new model, in evaluation mode. `moved` adds noise to every parameter, so that one that
        starts at zero or one doesn't hide what it multiplies."""
        model = Decoder(self._with(seed, dropout), VOCAB)
        if moved:
            move(model)
        return model.eval()

    def build_component(self, seed: int = 1, *, moved: bool = True, **dims: int) -> Any:
        """The component under test on its own, as layer 0 would have it, in evaluation mode."""
        builder = Builder(self._with(seed), VOCAB)
        layer = self.plan.layers[0]
        if self.kind == "positional_encoding":
            made = builder.positions(self.chosen, layer, **dims).encoding
        else:
            made = builder.build(self.chosen, f"tested.{self.kind}", layer, **dims)
        if isinstance(made, nn.Module):
            if moved:
                move(made)
            made.eval()
        return made

    def _with(self, seed: int, dropout: float = 0.0) -> Plan:
        config = self.plan.config
        config = config.model_copy(
            update={
                "train": config.train.model_copy(update={"seed": seed}),
                "model": config.model.model_copy(update={"dropout": dropout}),
            }
        )
        return replace(self.plan, config=config)


def scenes(catalogue: Catalogue, kind: str, written: Any) -> list[Scene]:
    """The scenes of a component, given as a config would write it. Raises `ConfigError`."""
    if kind == "attention":
        first = Scene(kind, "encoding at no site", plan_of(catalogue, attention=written))
        offered = [site for site in SITES if site in first.chosen.options.offers(first.dims)]
        return [first] + [
            Scene(
                kind,
                f"encoding at {site}",
                plan_of(catalogue, attention=written, positional_encoding=partner(f"at_{site}")),
            )
            for site in offered
        ]
    if kind == "positional_encoding":
        window = {"name": partner("plain"), "window": 3}
        return [
            Scene(kind, "full attention", plan_of(catalogue, positional_encoding=written)),
            Scene(
                kind,
                "attention with a window",
                plan_of(catalogue, positional_encoding=written, attention=window),
            ),
        ]
    rotated = partner("at_rotate")
    if kind == "block":
        changes = {"block": written, "positional_encoding": rotated}
        return [
            Scene(kind, "with MLP", plan_of(catalogue, **changes)),
            Scene(kind, "without MLP", plan_of(catalogue, **changes, mlp_enabled=False)),
        ]
    return [Scene(kind, "", plan_of(catalogue, **{kind: written, "positional_encoding": rotated}))]


def plan_of(catalogue: Catalogue, **chosen: Any) -> Plan:
    """A plan of partners with some of them replaced. Raises `ConfigError` where they don't fit."""
    lists = {"sampler": "samplers", "metric": "metrics"}
    model: dict[str, Any] = {**SIZES, "positional_encoding": partner("bare")}
    model |= {kind: partner("plain") for kind in MODEL_KINDS[1:]}
    train = {kind: partner("plain") for kind in ("optimizer", "schedule")}
    several: dict[str, list[Any]] = {name: [] for name in lists.values()}
    for kind, written in chosen.items():
        if kind in lists:
            several[lists[kind]] = [written]
        else:
            (train if kind in train else model)[kind] = written
    data = {
        "model": model,
        "train": train,
        "sampling": {"samplers": several["samplers"]},
        "report": {"metrics": several["metrics"]},
    }
    return make_plan(Source(data, Path("conformance"), lambda key: None), (), catalogue)


def refusal(error: ConfigError) -> str:
    """What a plan was refused for, in one line, with the sizes it was refused at."""
    problems = "; ".join(problem.message for problem in error.problems)
    sizes = ", ".join(f"{name} = {size}" for name, size in SIZES.items())
    return f"refused at the kit's sizes ({sizes}): {problems}"


def move(module: nn.Module) -> None:
    """Add noise to every parameter, the same for parameters of one name and shape.

    Sized so that every part has its say: embeddings of order 1, matrices a tenth, others a third.
    """
    modules = dict(module.named_modules())
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            owner = modules[name.rpartition(".")[0]]
            scale = 1.0 if isinstance(owner, nn.Embedding) else 0.1 if parameter.ndim > 1 else 0.3
            parameter.add_(scale * noise(name, *parameter.shape))


def noise(purpose: str, *shape: int) -> Tensor:
    """Standard normal numbers that depend on their purpose alone."""
    generator = torch.Generator().manual_seed(stream_key(0, "conformance", purpose))
    return torch.randn(shape, generator=generator)


def some_tokens(batch: int, length: int = LENGTH, purpose: str = "") -> Tensor:
    """Token ids [batch, length] that depend on their purpose alone."""
    generator = torch.Generator().manual_seed(stream_key(0, "tokens", purpose))
    return torch.randint(VOCAB, (batch, length), generator=generator)


def plain(batch: int, length: int = LENGTH) -> SequenceInfo:
    """One whole document per row."""
    return SequenceInfo.of_rows(torch.full((batch,), length), length)


def masked(batch: int, length: int = LENGTH) -> SequenceInfo:
    """The same, without the promise that makes it plain: attention goes by its mask."""
    return SequenceInfo.of_positions(plain(batch, length).positions)


PATHS = {"plain": plain, "masked": masked}


def modes(scene: Scene) -> Iterator[str]:
    """The scene's model in evaluation mode, then in training mode unless that draws numbers."""
    yield "in evaluation"
    if not scene.stochastic:
        with training(scene.model):
            yield "in training"


def left_padded(lengths: Tensor, width: int) -> Tensor:
    """Positions [B, width] of rows of these lengths, pads first."""
    return (torch.arange(width) - (width - lengths)[:, None]).clamp(min=-1)


def seeded(seed: int, model: Decoder, tokens: Tensor, seq: SequenceInfo) -> tuple[Tensor, Any]:
    """A forward pass whose dropout draws from `seed`, and leaves no trace."""
    with drawing_from(seed):
        result: tuple[Tensor, Any] = model(tokens, seq)
    return result


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Torch's global generator (the CPU's alone) seeded, and put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@contextmanager
def training(module: nn.Module) -> Iterator[None]:
    """The module in training mode."""
    module.train()
    try:
        yield
    finally:
        module.eval()


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
    return torch.cat([model(row, plain(1, row.shape[1]))[0][0] for row in rows])


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


def as_written(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A component as a config writes it."""
    return {"name": name, **options}


def generator_states() -> tuple[bytes, bytes, int]:
    numpy_state = np.random.get_state(legacy=False)
    return (
        torch.get_rng_state().numpy().tobytes(),
        repr(numpy_state).encode(),
        hash(random.getstate()),
    )


@contextmanager
def global_generators(seed: int) -> Iterator[None]:
    """Torch's, NumPy's and Python's global generators seeded, and put back afterwards."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with drawing_from(seed):
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)
