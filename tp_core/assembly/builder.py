"""Turning resolved components into objects, each with start values of its own."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager
from typing import Any

from tp_core.assembly.attribution import component_error
from tp_core.assembly.loading import load_class
from tp_core.assembly.start_values import seeded
from tp_core.config.compatibility import LayerPlan
from tp_core.config.components import ResolvedComponent, resolve_spec
from tp_core.config.plan import Plan
from tp_core.errors import TpError
from tp_core.interfaces.context import BuildContext
from tp_core.interfaces.positional_encoding import PositionalEncoding
from tp_core.interfaces.vocabulary import Vocabulary
from tp_core.kernel.options import Dims, Spec


class Builder:
    """Builds one model's components, each from a random state of its own."""

    def __init__(self, plan: Plan, vocab_size: int, vocabulary: Vocabulary | None = None) -> None:
        self.plan = plan
        self.vocab_size = vocab_size
        self.vocabulary = vocabulary
        self.built: list[tuple[Any, ResolvedComponent]] = []
        self.encodings: dict[str, Any] = {}
        self._encodings: dict[tuple[Spec[Any], str], Any] = {}
        self.children: dict[tuple[str, str], int] = {}

    def build(
        self, resolved: ResolvedComponent, path: str, layer: LayerPlan | None = None, **dims: int
    ) -> Any:
        """An instance of a component. Raises `TpError` naming it where its code fails."""
        index = -1 if layer is None else layer.index
        sizes = dataclasses.replace(self.plan.dims, layer_index=index, **dims)
        self._refuse(resolved, sizes)
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
            _assembler=_Place(self, path, layer),
            vocabulary=self.vocabulary,
        )
        cls = load_class(resolved)
        with self.seeded(path):
            try:
                made = cls(resolved.options, ctx)
            except TpError:
                raise
            except Exception as error:
                raise component_error(resolved, "can't be built", error) from error
        self.built.append((made, resolved))
        return made

    def positional_encoding(
        self, resolved: ResolvedComponent, layer: LayerPlan | None = None, **dims: int
    ) -> PositionalEncoding:
        """An encoding: one per distinct spec and sizes, or per layer where its class says so."""
        base = dataclasses.asdict(self.plan.dims)
        differing = {name: size for name, size in sorted(dims.items()) if size != base[name]}
        if set(resolved.registered.component.needs) <= {"embed"}:
            differing = {}
        name = "_".join(
            [resolved.registered.component.name, *(f"{k}{v}" for k, v in differing.items())]
        )
        own = layer is not None and getattr(load_class(resolved), "scope", "model") == "layer"
        if own and layer is not None:
            name = f"{name}_layer{layer.index}"
        identity = (resolved.spec, name)
        if identity not in self._encodings:
            taken = [key for _, key in self._encodings]
            unique = f"{name}_{taken.count(name)}" if name in taken else name
            made = self.build(resolved, f"encodings.{unique}", layer if own else None, **differing)
            self._encodings[identity] = made
            self.encodings[unique] = made
        return PositionalEncoding(self._encodings[identity])

    def seeded(self, path: str) -> AbstractContextManager[None]:
        """Draw the start values of what is at `path` in the model."""
        return seeded(self.plan.config.train.seed, path)

    def _refuse(self, resolved: ResolvedComponent, sizes: Dims) -> None:
        for message in resolved.options.problems(sizes):
            raise TpError(f"{resolved.kind} '{resolved.name}': {message}")


class _Place:
    """Where a component stands in the model: the `Assembler` its context builds through."""

    def __init__(self, builder: Builder, path: str, layer: LayerPlan | None) -> None:
        self._builder, self._path, self._layer = builder, path, layer

    def make(self, spec: Spec[Any], **dims: int) -> Any:
        resolved = resolve_spec(self._builder.plan.catalogue, spec)
        return self._builder.build(resolved, self._child(resolved.kind), self._layer, **dims)

    def part(self, kind: str, **dims: int) -> Any:
        layer = self._in_layer(kind)
        if kind == "mlp" and not layer.mlp_enabled:
            return None
        return self._builder.build(layer[kind], self._child(kind), layer, **dims)

    def positional_encoding(self, **dims: int) -> PositionalEncoding:
        layer = self._in_layer("positional_encoding")
        return self._builder.positional_encoding(layer["positional_encoding"], layer, **dims)

    def _in_layer(self, kind: str) -> LayerPlan:
        if self._layer is None:
            raise TpError(f"{kind}() is for what is built inside a layer")
        return self._layer

    def _child(self, kind: str) -> str:
        # Numbered, so that the second norm of a block starts elsewhere than the first.
        children = self._builder.children
        count = children.get((self._path, kind), 0)
        children[self._path, kind] = count + 1
        return f"{self._path}.{kind}{count or ''}"
