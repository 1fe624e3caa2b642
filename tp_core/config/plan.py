"""From a config as written to a plan that is known to work, or to every reason why it doesn't.

All of this runs without torch: a wrong config is refused in a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tp_core.config.files import KeyPath, Source, read_config
from tp_core.config.legality import LayerPlan, base_dims, check_layers, check_loose, check_sizes
from tp_core.config.messages import explain, show
from tp_core.config.overrides import Override, apply, merge, parse_overrides, settle
from tp_core.config.resolve import Chosen, Resolver
from tp_core.config.schema import SCHEMA_VERSION, SECTIONS, Config, Layer, Section
from tp_core.errors import ConfigError, Problem, did_you_mean
from tp_core.options import Dims, Spec, spec_kind, validate
from tp_core.plugins import Catalogue

LAYER_KINDS = tuple(name for name in Layer.model_fields if spec_kind(Layer, name))


@dataclass(frozen=True)
class Plan:
    """A config in which every component is resolved and every check passed.

    `norm` and `positional_encoding` are the model-wide ones: the norm before the head, and the
    encoding that may act on embeddings.
    """

    config: Config
    layers: tuple[LayerPlan, ...]
    norm: Chosen
    positional_encoding: Chosen
    optimizer: Chosen
    schedule: Chosen
    samplers: tuple[Chosen, ...]
    metrics: tuple[Chosen, ...]
    catalogue: Catalogue

    @property
    def dims(self) -> Dims:
        return base_dims(self.config)

    def components(self) -> list[Chosen]:
        """Every distinct component in use, nested ones included, in a stable order."""
        found = [c for layer in self.layers for c in layer.components()]
        found += [self.norm, self.positional_encoding, self.optimizer, self.schedule]
        found += [*self.samplers, *self.metrics]
        distinct = {(c.kind, c.spec): c for chosen in found for c in chosen.walk()}
        return list(distinct.values())


def load_plan(
    path: Path, assignments: Sequence[str] = (), catalogue: Catalogue | None = None
) -> Plan:
    """Read, merge and check a config file. Raises `ConfigError` with every problem found."""
    return make_plan(read_config(path), assignments, catalogue)


def make_plan(
    source: Source, assignments: Sequence[str] = (), catalogue: Catalogue | None = None
) -> Plan:
    """Check a config that was read. Raises `ConfigError` with every problem found."""
    overrides, malformed = parse_overrides(assignments)
    data, misplaced = apply(source.data, overrides)
    draft = _Draft(source, overrides, data, catalogue or Catalogue())
    draft.problems += malformed + misplaced
    return draft.plan()


class _Draft:
    """One config on its way to a plan; collects problems instead of stopping at the first."""

    def __init__(
        self,
        source: Source,
        overrides: Sequence[Override],
        data: Mapping[str, Any],
        catalogue: Catalogue,
    ) -> None:
        self.source = source
        self.overrides = overrides
        self.data = data
        self.catalogue = catalogue
        self.problems: list[Problem] = []
        self.resolver = Resolver(catalogue, self.complain)
        self.unsound: set[str] = set()

    def complain(self, key: KeyPath, message: str) -> None:
        problem = Problem(".".join(key), message, self.place(key))
        if problem not in self.problems:
            self.problems.append(problem)

    def place(self, key: KeyPath) -> str:
        for override in reversed(self.overrides):
            shared = min(len(override.key), len(key))
            if shared > 1 and override.key[:shared] == key[:shared]:
                return override.place
        return self.source.place(key)

    def plan(self) -> Plan:
        self.check_top()
        sections = {name: self.section(name, model) for name, model in SECTIONS.items()}
        config = Config.model_construct(schema_version=SCHEMA_VERSION, **sections)
        model, table = config.model, self.table("model")
        needed = [k for k in LAYER_KINDS if k != "mlp" or model.mlp_enabled or "mlp" in table]
        base = {kind: self.component(("model", kind)) for kind in needed}
        overridden = self.overridden(model.pattern, table)
        layers = [
            LayerPlan(index, label, {**base, **overridden.get(label, ({}, None))[0]}, enabled)
            for index, label in enumerate(_labels(model.pattern, model.n_layers))
            for enabled in [_first(overridden.get(label, ({}, None))[1], model.mlp_enabled)]
        ]
        optimizer = self.component(("train", "optimizer"))
        schedule = self.component(("train", "schedule"))
        samplers = self.components(("sampling", "samplers"))
        metrics = self.components(("report", "metrics"))
        if "model" not in self.unsound and check_sizes(model, self.complain):
            dims = base_dims(config)
            named = {
                ("model", "norm"): base["norm"],
                ("train", "optimizer"): optimizer,
                ("train", "schedule"): schedule,
            }
            check_loose(named, dims, self.complain)
            check_layers(layers, base["positional_encoding"], dims, self.catalogue, self.complain)
        if self.problems:
            raise ConfigError(self.problems)
        norm, encoding = base["norm"], base["positional_encoding"]
        assert norm and encoding and optimizer and schedule
        complete = {
            "model": {
                **{kind: chosen.spec for kind, chosen in base.items() if chosen},
                "layers": {
                    label: Layer.model_construct(
                        **{kind: c.spec for kind, c in chosen.items() if c}, mlp_enabled=enabled
                    )
                    for label, (chosen, enabled) in overridden.items()
                },
            },
            "train": {"optimizer": optimizer.spec, "schedule": schedule.spec},
            "sampling": {"samplers": tuple(c.spec for c in samplers)},
            "report": {"metrics": tuple(c.spec for c in metrics)},
        }
        config = config.model_copy(
            update={k: getattr(config, k).model_copy(update=v) for k, v in complete.items()}
        )
        return Plan(
            config=config,
            layers=tuple(layers),
            norm=norm,
            positional_encoding=encoding,
            optimizer=optimizer,
            schedule=schedule,
            samplers=samplers,
            metrics=metrics,
            catalogue=self.catalogue,
        )

    def table(self, *key: str) -> dict[str, Any]:
        value: Any = self.data
        for part in key:
            value = value.get(part, {})
            if not isinstance(value, Mapping):
                return {}
        return dict(value)

    def check_top(self) -> None:
        for name, value in self.data.items():
            if name == "schema_version":
                if str(value) != str(SCHEMA_VERSION):
                    self.complain((name,), f"is {show(value)}; this tp reads {SCHEMA_VERSION}")
            elif name not in SECTIONS:
                near = did_you_mean(name, SECTIONS) or f" There are: {', '.join(SECTIONS)}."
                self.complain((name,), f"no such section.{near}")
            elif not isinstance(value, Mapping):
                self.complain((name,), f"must be a table, not {show(value)}")

    def section(self, name: str, model: type[Section]) -> Any:
        """The plain keys of a section; where one is bad, the default stands in for it."""
        specs = {key for key in model.model_fields if spec_kind(model, key)}
        apart = specs | {"layers"}
        plain = settle({k: v for k, v in self.table(name).items() if k not in apart}, model)
        filler = {
            key: [] if info.annotation is not None and _is_list(info.annotation) else Spec("unset")
            for key, info in model.model_fields.items()
            if key in specs and info.is_required()
        }
        try:
            return validate(model, {**plain, **filler})
        except TypeError as error:
            self.complain((name,), str(error))
            plain = {}
        except ValidationError as error:
            for loc, message in explain(error, model, f"[{name}]"):
                self.complain((name, *loc), message)
                plain.pop(loc[0], None)
        self.unsound.add(name)
        return validate(model, {**plain, **filler})

    def component(self, key: KeyPath) -> Chosen | None:
        section, kind = key
        table = self.table(section)
        if kind in table:
            return self.resolver.one(kind, table[kind], key)
        names = self.installed(kind)
        example = names[0] if names else "..."
        article = "an" if kind[0] in "aeiou" else "a"
        self.complain(
            key,
            f"the config names no {kind}. Choose {article} {kind}: under [{section}] add "
            f'{kind} = "{example}" (installed: {", ".join(names) or "none"})',
        )
        return None

    def components(self, key: KeyPath) -> tuple[Chosen, ...]:
        section, name = key
        kind = spec_kind(SECTIONS[section], name) or ""
        table = self.table(section)
        if name not in table:
            self.complain(
                key,
                f"the config has no list of {name}. Under [{section}] add {name} = [] "
                f"(installed: {', '.join(self.installed(kind)) or 'none'})",
            )
            return ()
        return self.resolver.many(kind, table[name], key)

    def installed(self, kind: str) -> list[str]:
        """Names to suggest; asks third parties only where nothing is built in."""
        return [c.qualified for c in self.catalogue.loaded(kind)] or self.catalogue.names(kind)

    def overridden(
        self, pattern: Sequence[str], model: Mapping[str, Any]
    ) -> dict[str, tuple[dict[str, Chosen | None], bool | None]]:
        """What each [model.layers.LABEL] changes: its components, and whether it has an MLP."""
        result = {}
        if not isinstance(model.get("layers", {}), Mapping):
            self.complain(("model", "layers"), "must be a table with one table per label")
        for label in self.table("model", "layers"):
            key = ("model", "layers", label)
            table = self.table(*key)
            if label not in pattern:
                near = did_you_mean(label, pattern)
                self.complain(key, f"'{label}' is not in model.pattern, so no layer uses it.{near}")
            plain = settle({k: v for k, v in table.items() if k not in LAYER_KINDS}, Layer)
            try:
                settled = validate(Layer, plain)
            except (ValidationError, TypeError) as error:
                faults = (
                    explain(error, Layer, f"[{'.'.join(key)}]")
                    if isinstance(error, ValidationError)
                    else [((), str(error))]
                )
                for loc, message in faults:
                    self.complain((*key, *loc), message)
                settled = Layer()
            chosen = {
                kind: self.resolver.one(kind, merge(model.get(kind, {}), table[kind]), (*key, kind))
                for kind in LAYER_KINDS
                if kind in table
            }
            assert isinstance(settled, Layer)
            result[label] = (chosen, settled.mlp_enabled)
        return result


def _labels(pattern: Sequence[str], n_layers: int) -> list[str]:
    return [pattern[i % len(pattern)] if pattern else "" for i in range(n_layers)]


def _first(value: bool | None, default: bool) -> bool:
    return default if value is None else value


def _is_list(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is tuple
