"""Read the settings of a config, section by section. Torch-free.

Problems are collected, not raised: an invalid setting is replaced by its default or None, so that
all problems are reported at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tp_core.config.components import ComponentResolver, ResolvedComponent
from tp_core.config.merge import entry
from tp_core.config.messages import read_table, show
from tp_core.config.overrides import Override
from tp_core.config.read_file import Source
from tp_core.config.schema import SCHEMA_VERSION, SECTIONS, Config
from tp_core.config.source_lines import KeyPath
from tp_core.errors import Problem, did_you_mean
from tp_core.kernel.catalogue import Catalogue
from tp_core.kernel.kinds import KINDS, Kind
from tp_core.kernel.options import Spec, validate


class ConfigResolver:
    """The settings, where each was written, and the problems found so far."""

    def __init__(
        self,
        source: Source,
        overrides: Sequence[Override],
        data: Mapping[str, Any],
        catalogue: Catalogue,
        problems: Sequence[Problem],
    ) -> None:
        self.source = source
        self.overrides = overrides
        self.data = data
        self.catalogue = catalogue
        self.problems = list(problems)
        self.resolver = ComponentResolver(catalogue, self.add_problem)
        self.unsound: set[KeyPath] = set()  # invalid settings, replaced by their defaults

    def add_problem(
        self, key: KeyPath, message: str, *blame: KeyPath, missing: bool = False
    ) -> None:
        """Add a problem; `blame` lists other settings that may have caused it."""
        place = self.place(key, *blame)
        if len(key) > 2 and key[-1] == "name":
            key = key[:-1]  # how the resolver refers to a component's name
        problem = Problem(".".join(key), message, place, missing)
        inherited = ".".join(("model", *key[3:])) if key[:2] == ("model", "layers") else ""
        told = any(p.key == inherited and p.message == message for p in self.problems)
        if problem not in self.problems and not (inherited and told):
            self.problems.append(problem)

    def place(self, *keys: KeyPath) -> str:
        """Where a problem was written: the last override of one of its keys, or the file."""
        for override in reversed(self.overrides):
            if any(self._wrote(override.key, key) for key in keys):
                return override.place
        return self.source.place(keys[0])

    def _wrote(self, written: KeyPath, key: KeyPath) -> bool:
        if key[: len(written)] == written:
            return True
        # An override inside a table may have caused its problem, unless the table is a section.
        inside = written[: len(key)] == key
        return inside and (len(key) > 1 or self.source.line_of(key) is None)

    def table(self, *key: str) -> dict[str, Any]:
        """The table at a key, or an empty one."""
        value: Any = self.data
        for part in key:
            value = entry(value, part)
        return dict(value) if isinstance(value, Mapping) else {}

    def check_top(self) -> None:
        for name, value in self.data.items():
            if name == "schema_version":
                if type(value) is not int or value != SCHEMA_VERSION:
                    self.add_problem(
                        (name,), f"is {show(value)}; this version of tp supports {SCHEMA_VERSION}"
                    )
            elif name not in SECTIONS:
                inside = [
                    f"{s}.{name}" for s, model in SECTIONS.items() if name in model.model_fields
                ]
                near = f" Did you mean '{inside[0]}'?" if inside else did_you_mean(name, SECTIONS)
                listing = f" Sections: {', '.join(SECTIONS)}."
                self.add_problem((name,), f"unknown section.{near or listing}")
            elif not isinstance(value, Mapping):
                self.add_problem((name,), f"must be a table, not {show(value)}")

    def config(self) -> Config:
        """The plain settings of every section, without components."""
        sections: dict[str, Any] = {name: self._section(name) for name in SECTIONS}
        return Config.model_construct(**sections)

    def _section(self, name: str) -> Any:
        model = SECTIONS[name]
        kinds = {kind.key: kind for kind in KINDS.values() if kind.section == name}
        plain = {k: v for k, v in self.table(name).items() if k not in {*kinds, "layers"}}
        unset: dict[str, Any] = {
            key: [] if kind.many else Spec("unset") for key, kind in kinds.items() if kind.needed
        }
        section, faults = read_table(model, {**plain, **unset}, f"[{name}]")
        for inside, message in faults:
            self.add_problem((name, *inside), message)
            self.unsound.add((name, inside[0]))
            plain.pop(inside[0], None)
        return section or validate(model, {**plain, **unset})

    def sound(self, *keys: KeyPath) -> bool:
        """Whether these settings are valid, not replaced by their defaults."""
        return self.unsound.isdisjoint(keys)

    def component(self, kind: Kind) -> ResolvedComponent | None:
        """The component of a kind; None if it is missing or invalid."""
        written = self.table(kind.section).get(kind.key)
        if written is not None:
            return self.resolver.one(kind.name, written, kind.place)
        if not isinstance(self.data.get(kind.section, {}), Mapping):
            return None  # reported for the section
        names = self.installed(kind.name)
        example = names[0] if names else "..."
        self.add_problem(
            kind.place,
            f"{kind.name} is missing. Choose {kind.article} {kind.name}: under "
            f'[{kind.section}] add {kind.name} = "{example}" '
            f"(installed: {', '.join(names) or 'none'})",
            missing=True,
        )
        return None

    def components(self, kind: Kind) -> list[ResolvedComponent | None]:
        """The components of a kind, one or a list; empty if optional and not set."""
        written = self.table(kind.section).get(kind.key)
        if written is None and not kind.needed:
            return []
        if not kind.many:
            return [self.component(kind)]
        if written is not None:
            return self.resolver.each(kind.name, written, kind.place)
        if not isinstance(self.data.get(kind.section, {}), Mapping):
            return []
        self.add_problem(
            kind.place,
            f"{kind.key} is missing. Under [{kind.section}] add {kind.key} = [] "
            f"(installed: {', '.join(self.installed(kind.name)) or 'none'})",
            missing=True,
        )
        return []

    def installed(self, kind: str) -> list[str]:
        """Names to suggest; third-party plugins are loaded only if nothing is built in."""
        return [c.qualified for c in self.catalogue.loaded(kind)] or self.catalogue.names(kind)
