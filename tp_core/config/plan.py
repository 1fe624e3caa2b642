"""Turn a config into a checked plan, or into a list of all its problems.

Nothing here imports torch, so an invalid config is rejected in a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tp_core.config.compatibility import LayerPlan, base_dims, check_layers, check_sizes
from tp_core.config.components import ResolvedComponent
from tp_core.config.layers import Layers, read_layers
from tp_core.config.messages import show
from tp_core.config.overrides import apply, parse_overrides
from tp_core.config.read_file import Source, read_config
from tp_core.config.resolver import ConfigResolver
from tp_core.config.schema import SECTIONS, Config, DataConfig, LayerConfig
from tp_core.errors import ConfigError, Problem
from tp_core.kernel.catalogue import Catalogue
from tp_core.kernel.kinds import KINDS
from tp_core.kernel.options import Dims

# The kinds outside the model, in the order of a config's sections.
_OUTSIDE = sorted(
    (kind for kind in KINDS.values() if not kind.in_layers),
    key=lambda kind: list(SECTIONS).index(kind.section),
)

# Settings that have no effect with layout = "text", which splits by position into fixed chunks.
_UNUSED_IN_TEXT = {
    "split_seed": 'has no effect with layout = "text", whose splits are contiguous',
    "overlong": 'has no effect with layout = "text", whose chunks always fit',
}


@dataclass(frozen=True)
class Plan:
    """A config whose components are all resolved and whose checks have all passed.

    `norm` and `positional_encoding` are the model-wide ones: the norm before the output head, and
    the encoding that may act on embeddings. `outside` has the components outside the model, by
    kind.
    """

    config: Config
    layers: tuple[LayerPlan, ...]
    norm: ResolvedComponent
    positional_encoding: ResolvedComponent
    outside: Mapping[str, tuple[ResolvedComponent, ...]]
    catalogue: Catalogue

    @property
    def optimizer(self) -> ResolvedComponent:
        return self.outside["optimizer"][0]

    @property
    def schedule(self) -> ResolvedComponent:
        return self.outside["schedule"][0]

    @property
    def samplers(self) -> tuple[ResolvedComponent, ...]:
        return self.outside["sampler"]

    @property
    def metrics(self) -> tuple[ResolvedComponent, ...]:
        return self.outside["metric"]

    @property
    def dims(self) -> Dims:
        return base_dims(self.config)

    def components(self) -> list[ResolvedComponent]:
        """All distinct components in use, including nested ones, in a stable order."""
        found = [c for layer in self.layers for c in layer.components()]
        found += [self.norm, self.positional_encoding]
        found += [c for components in self.outside.values() for c in components]
        distinct = {(c.kind, c.spec): c for resolved in found for c in resolved.walk()}
        return list(distinct.values())

    def with_components(self, kind: str, components: Iterable[ResolvedComponent]) -> Plan:
        """The plan with the components of one kind outside the model replaced."""
        return replace(self, outside={**self.outside, kind: tuple(components)})


def load_plan(
    path: Path, assignments: Sequence[str] = (), catalogue: Catalogue | None = None
) -> Plan:
    """Read a config file, apply `--set` overrides and check it. Raises `ConfigError`."""
    return make_plan(read_config(path), assignments, catalogue)


def make_plan(
    source: Source, assignments: Sequence[str] = (), catalogue: Catalogue | None = None
) -> Plan:
    """Apply overrides to a config and check it. Raises `ConfigError` with every problem."""
    catalogue = Catalogue() if catalogue is None else catalogue
    try:
        overrides, malformed = parse_overrides(assignments)
        data, misplaced = apply(source.data, overrides, catalogue)
        return _plan(ConfigResolver(source, overrides, data, catalogue, [*malformed, *misplaced]))
    except RecursionError:
        raise ConfigError([Problem("", "is nested too deeply", str(source.path))]) from None


def _plan(resolver: ConfigResolver) -> Plan:
    resolver.check_top()
    config = resolver.config()
    layers = read_layers(resolver, config.model)
    outside = {kind.name: resolver.components(kind) for kind in _OUTSIDE}
    _check_settings(resolver, config)
    _check_components(resolver, config, layers, outside)
    if resolver.problems:
        raise ConfigError(resolver.problems)
    whole = {kind: tuple(map(_there, found)) for kind, found in outside.items()}
    return Plan(
        config=_complete(config, layers, whole),
        layers=layers.plans,
        norm=_there(layers.base["norm"]),
        positional_encoding=_there(layers.base["positional_encoding"]),
        outside=whole,
        catalogue=resolver.catalogue,
    )


def _check_settings(resolver: ConfigResolver, config: Config) -> None:
    """Check plain settings against each other, skipping those already reported."""
    data, model, train = config.data, config.model, config.train
    val, test = ("data", "val_fraction"), ("data", "test_fraction")
    if resolver.sound(val, test) and data.val_fraction + data.test_fraction >= 1:
        resolver.add_problem(
            val,
            f"{data.val_fraction} and test_fraction = {data.test_fraction} leave no training data; "
            "their sum must be below 1",
            test,
        )
    size, count = ("train", "batch_size"), ("train", "grad_accumulation")
    if resolver.sound(size, count) and train.batch_size < train.grad_accumulation:
        resolver.add_problem(
            count,
            f"{train.grad_accumulation} micro-batches exceed batch_size = {train.batch_size} "
            f"{data.rows}; use at most {train.batch_size}",
            size,
        )
    layout = ("data", "layout")
    for name, reason in _UNUSED_IN_TEXT.items() if data.layout == "text" else ():
        default = DataConfig.model_fields[name].default
        if resolver.sound(layout, ("data", name)) and getattr(data, name) != default:
            resolver.add_problem(("data", name), f"{reason}; leave it at {show(default)}", layout)
    pattern, depth = ("model", "pattern"), ("model", "n_layers")
    if resolver.sound(pattern, depth) and len(model.pattern) > model.n_layers:
        resolver.add_problem(
            pattern,
            f"has {len(model.pattern)} labels but n_layers = {model.n_layers}; shorten it",
            depth,
        )
    width, heads = ("model", "d_model"), ("model", "n_heads")
    if resolver.sound(width, heads) and model.d_model % model.n_heads:
        below = model.d_model // model.n_heads * model.n_heads
        near = " or ".join(str(n) for n in (below, below + model.n_heads) if n)
        resolver.add_problem(
            width,
            f"{model.d_model} is not divisible by n_heads = {model.n_heads}; use {near}",
            heads,
        )
        resolver.unsound |= {width, heads}


def _check_components(
    resolver: ConfigResolver,
    config: Config,
    layers: Layers,
    outside: Mapping[str, Sequence[ResolvedComponent | None]],
) -> None:
    """Check components against the sizes and each other, if the sizes are valid."""
    dims = base_dims(config)
    if resolver.sound(("train", "max_steps")):
        for kind, found in outside.items():
            for index, resolved in enumerate(found):
                place = KINDS[kind].place
                key = (*place, str(index)) if KINDS[kind].many else place
                check_sizes(key, resolved, dims, resolver.add_problem)
    sizes = ("d_model", "n_heads", "n_layers", "max_seq_len", "pattern")
    if not resolver.sound(*(("model", name) for name in sizes)):
        return
    encoding, norm = layers.base["positional_encoding"], layers.base["norm"]
    check_layers(layers.plans, encoding, layers.own, dims, resolver.catalogue, resolver.add_problem)
    if not any(
        layer.resolved["norm"] == norm for layer in layers.plans
    ):  # already reported for a layer
        check_sizes(("model", "norm"), norm, dims, resolver.add_problem)


def _complete(
    config: Config,
    layers: Layers,
    outside: Mapping[str, Sequence[ResolvedComponent]],
) -> Config:
    """The config with all components and options filled in."""
    specs = {kind: _there(resolved).spec for kind, resolved in layers.base.items()}
    tables = {}
    for label, table in layers.labels.items():
        own: dict[str, Any] = {
            kind: _there(resolved).spec for kind, resolved in table.resolved.items()
        }
        tables[label] = LayerConfig.model_construct(None, mlp_enabled=table.mlp_enabled, **own)
    update: dict[str, dict[str, Any]] = {"model": {**specs, "layers": tables}}
    for name, components in outside.items():
        kind, chosen = KINDS[name], tuple(resolved.spec for resolved in components)
        written = chosen if kind.many else next(iter(chosen), None)
        update.setdefault(kind.section, {})[kind.key] = written
    sections = {name: getattr(config, name).model_copy(update=new) for name, new in update.items()}
    return config.model_copy(update=sections)


def _there(resolved: ResolvedComponent | None) -> ResolvedComponent:
    assert resolved is not None, "a component is missing and no problem says so"
    return resolved
