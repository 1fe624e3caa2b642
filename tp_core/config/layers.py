"""From `[model]`, `model.pattern` and `[model.layers.LABEL]` to the layers. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tp_core.config.compatibility import LayerPlan
from tp_core.config.components import ResolvedComponent
from tp_core.config.merge import entry, merge
from tp_core.config.messages import read_table, show
from tp_core.config.resolver import ConfigResolver
from tp_core.config.schema import LayerConfig, ModelConfig
from tp_core.errors import did_you_mean
from tp_core.kernel.kinds import KINDS, LAYER_KINDS


@dataclass(frozen=True)
class Label:
    """What `[model.layers.LABEL]` sets: components, and whether there is an MLP."""

    resolved: Mapping[str, ResolvedComponent | None]
    mlp_enabled: bool | None = None


@dataclass(frozen=True)
class Layers:
    """The components `[model]` names, what each label sets differently, and the sum of both."""

    base: Mapping[str, ResolvedComponent | None]
    labels: Mapping[str, Label]
    plans: tuple[LayerPlan, ...]

    @property
    def own(self) -> dict[str, frozenset[str]]:
        """The kinds each label sets."""
        return {label: frozenset(table.resolved) for label, table in self.labels.items()}


def read_layers(resolver: ConfigResolver, model: ModelConfig) -> Layers:
    """The layers; a component in error or missing is None, and its problem told."""
    base = {kind: resolver.component(KINDS[kind]) for kind in LAYER_KINDS if kind != "mlp"}
    labels = {label: Label({}) for label in model.pattern or ("",)}
    tables = entry(resolver.data.get("model"), "layers")
    if not isinstance(tables, (Mapping, type(None))):
        resolver.add_problem(("model", "layers"), f"must be a table, not {show(tables)}")
    for label in resolver.table("model", "layers"):
        labels[label] = _label(resolver, label, model)
    used = [labels[label] for label in dict.fromkeys(model.pattern or ("",))]
    needs_mlp = any(_enabled(one, model) and "mlp" not in one.resolved for one in used)
    if needs_mlp or resolver.table("model").get("mlp") is not None:
        base["mlp"] = resolver.component(KINDS["mlp"])
    plans = []
    for index in range(model.n_layers):
        label = model.pattern[index % len(model.pattern)] if model.pattern else ""
        one = labels[label]
        plans.append(LayerPlan(index, label, {**base, **one.resolved}, _enabled(one, model)))
    labels.pop("", None)
    return Layers(base, labels, tuple(plans))


def _enabled(label: Label, model: ModelConfig) -> bool:
    return model.mlp_enabled if label.mlp_enabled is None else label.mlp_enabled


def _label(resolver: ConfigResolver, label: str, model: ModelConfig) -> Label:
    key = ("model", "layers", label)
    written: Any = resolver.table("model", "layers")[label]
    if not isinstance(written, Mapping):
        resolver.add_problem(key, f"must be a table, not {show(written)}")
        return Label({})
    if label not in model.pattern and resolver.sound(("model", "pattern")):
        near = did_you_mean(label, model.pattern)
        resolver.add_problem(key, f"'{label}' is not in model.pattern, so no layer uses it.{near}")
    plain = {name: value for name, value in written.items() if name not in LAYER_KINDS}
    table, faults = read_table(LayerConfig, plain, f"[{'.'.join(key)}]")
    for inside, message in faults:
        resolver.add_problem((*key, *inside), message)
    base = resolver.table("model")
    resolved = {
        kind: resolver.resolver.one(kind, merge(base.get(kind), written[kind]), (*key, kind))
        for kind in LAYER_KINDS
        if written.get(kind) is not None
    }
    return Label(resolved, table.mlp_enabled if table else None)
