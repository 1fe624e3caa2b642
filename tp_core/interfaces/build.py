"""Turning chosen components into objects: what a constructor is given, where its start is from."""

from __future__ import annotations

import dataclasses
import importlib
import math
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tp_core.config.legality import LayerPlan
from tp_core.config.plan import Plan
from tp_core.config.resolve import Chosen, resolve_spec
from tp_core.errors import TpError
from tp_core.interfaces.adapt import adapt
from tp_core.interfaces.positions import Positions
from tp_core.options import Dims, Spec
from tp_core.streams import stream_key

# A component's message may quote whole tensors.
_LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class BuildContext:
    """What a component's constructor may ask: sizes, and the makers of what it is built from.

    `dim` is the width this instance sees on its last axis; `layer_index` is −1 outside the layers.
    `dropout` is the residual one: blocks apply it, other components have their own option.
    """

    dim: int
    d_model: int
    n_layers: int
    n_heads: int
    head_dim: int
    max_seq_len: int
    vocab_size: int
    layer_index: int
    dropout: float
    _builder: Builder
    _layer: LayerPlan | None
    _path: str

    def linear(
        self, d_in: int, d_out: int, residual: bool = False, *, bias: bool = False
    ) -> nn.Linear:
        """A linear map under the model's init policy: weights from N(0, 1/d_in), bias zero.

        `residual=True` marks one whose output is added to the residual stream: its start is scaled
        by 1/√(2·n_layers), so that the stream's variance doesn't grow with depth (Radford et al.
        2019, GPT-2).
        """
        layer = nn.Linear(d_in, d_out, bias=bias)
        std = 1 / math.sqrt(d_in)
        nn.init.normal_(layer.weight, std=std / math.sqrt(2 * self.n_layers) if residual else std)
        if bias:
            nn.init.zeros_(layer.bias)
        return layer

    def make(self, spec: Spec[Any], **dims: int) -> Any:
        """Build the component an option names, `dims` being the sizes it should see."""
        chosen = resolve_spec(self._builder.plan.catalogue, spec)
        return self._builder.build(chosen, self._child(chosen.kind), self._layer, **dims)

    def positions(self, **dims: int) -> Positions:
        """This layer's positional encoding, for heads of `head_dim`, or as `dims` say."""
        if self._layer is None:
            raise TpError("positions() is for what is built inside a layer")
        return self._builder.positions(self._layer["positional_encoding"], self._layer, **dims)

    def attention(self) -> Any:
        """This layer's attention: `forward(x, seq, state) -> (y, state)`. For blocks."""
        return self._of_layer("attention")

    def mlp(self) -> Any:
        """This layer's MLP: `forward(x, seq) -> y`; None where the config removed it."""
        enabled = self._layer is not None and self._layer.mlp_enabled
        return self._of_layer("mlp") if enabled else None

    def norm(self, **dims: int) -> Any:
        """A new norm of this layer's kind: `forward(x) -> y`."""
        return self._of_layer("norm", **dims)

    def _of_layer(self, kind: str, **dims: int) -> Any:
        if self._layer is None:
            raise TpError(f"{kind}() is for what is built inside a layer")
        return self._builder.build(self._layer[kind], self._child(kind), self._layer, **dims)

    def _child(self, kind: str) -> str:
        # Numbered, so that the second norm of a block starts elsewhere than the first.
        count = self._builder.children.get((self._path, kind), 0)
        self._builder.children[self._path, kind] = count + 1
        return f"{self._path}.{kind}{count or ''}"


class Builder:
    """Builds one model's components, each from a random state of its own."""

    def __init__(self, plan: Plan, vocab_size: int) -> None:
        self.plan = plan
        self.vocab_size = vocab_size
        self.built: list[tuple[Any, Chosen]] = []
        self.encodings: dict[str, Any] = {}
        self._encodings: dict[tuple[Spec[Any], str], Any] = {}
        self.children: dict[tuple[str, str], int] = {}

    def build(self, chosen: Chosen, path: str, layer: LayerPlan | None = None, **dims: int) -> Any:
        """An instance of a component. Raises `TpError` naming it where its code fails."""
        index = -1 if layer is None else layer.index
        sizes = dataclasses.replace(self.plan.dims, layer_index=index, **dims)
        self._refuse(chosen, sizes)
        ctx = BuildContext(
            dim=sizes.dim,
            d_model=sizes.d_model,
            n_layers=sizes.n_layers,
            n_heads=sizes.n_heads,
            head_dim=sizes.head_dim,
            max_seq_len=sizes.max_seq_len,
            vocab_size=self.vocab_size,
            layer_index=index,
            dropout=self.plan.config.model.dropout,
            _builder=self,
            _layer=layer,
            _path=path,
        )
        cls = load_class(chosen)
        with self.seeded(path):
            try:
                made = cls(chosen.options, ctx)
            except TpError:
                raise
            except Exception as error:
                raise component_error(chosen, "can't be built", error) from error
        self.built.append((made, chosen))
        return made

    def positions(self, chosen: Chosen, layer: LayerPlan | None = None, **dims: int) -> Positions:
        """An encoding: one per distinct spec and sizes, or per layer where its class says so."""
        base = dataclasses.asdict(self.plan.dims)
        differing = {name: size for name, size in sorted(dims.items()) if size != base[name]}
        if set(chosen.registered.component.needs) <= {"embed"}:
            differing = {}
        name = "_".join(
            [chosen.registered.component.name, *(f"{k}{v}" for k, v in differing.items())]
        )
        own = layer is not None and getattr(load_class(chosen), "scope", "model") == "layer"
        if own and layer is not None:
            name = f"{name}_layer{layer.index}"
        identity = (chosen.spec, name)
        if identity not in self._encodings:
            taken = [key for _, key in self._encodings]
            unique = f"{name}_{taken.count(name)}" if name in taken else name
            made = self.build(chosen, f"encodings.{unique}", layer if own else None, **differing)
            self._encodings[identity] = made
            self.encodings[unique] = made
        return Positions(self._encodings[identity])

    @contextmanager
    def seeded(self, path: str) -> Iterator[None]:
        """Draw start values from the stream of (seed, path), and leave no trace of having done so.

        Swapping one component leaves the start of every other tensor bit-identical.
        """
        with torch.random.fork_rng(devices=[]):
            # The CPU's generator alone: a device's is neither used for a start nor forked.
            torch.default_generator.manual_seed(
                stream_key(self.plan.config.train.seed, "start", path)
            )
            yield

    def _refuse(self, chosen: Chosen, sizes: Dims) -> None:
        for message in chosen.options.problems(sizes):
            raise TpError(f"{chosen.kind} '{chosen.name}': {message}")


def load_class(chosen: Chosen) -> type:
    """Import a component's class. Raises `TpError` naming its target where that fails."""
    component = chosen.registered.component
    module, _, name = component.target.partition(":")
    try:
        cls = getattr(importlib.import_module(module), name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may call sys.exit
        raise component_error(
            chosen, f"target '{component.target}' can't be imported", error
        ) from error
    if not isinstance(cls, type):
        raise TpError(f"{chosen.kind} '{chosen.name}': target '{component.target}' is no class")
    try:
        return adapt(cls, chosen.kind, component.needs)
    except TpError as error:
        raise TpError(f"{chosen.kind} '{chosen.name}': {error}") from None


def component_error(chosen: Chosen, what: str, error: BaseException) -> TpError:
    """A component's own failure, with the line of its own code that led to it."""
    return TpError(
        f"{chosen.kind} '{chosen.name}' {what}: {type(error).__name__}: {_short(error)}"
        f"{_own_line(chosen, error)}\n  TP_TRACEBACK=1 shows how it got there"
    )


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + "…"


def _own_line(chosen: Chosen, error: BaseException) -> str:
    """` (file:line)` of the innermost frame in the component's package, or else of any but tp's."""
    package = chosen.registered.component.target.partition(":")[0].partition(".")[0]
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [(f, n) for f, n in frames if _package(f.f_globals) == package]
    others = [(f, n) for f, n in frames if _package(f.f_globals) not in ("tp_core", "importlib")]
    return "".join(f" ({f.f_code.co_filename}:{n})" for f, n in (own or others)[-1:])


def _package(names: dict[str, Any]) -> str:
    return str(names.get("__name__", "")).partition(".")[0]
