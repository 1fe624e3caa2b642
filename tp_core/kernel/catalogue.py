"""The catalogue: look up components by name, and list them.

All components, built-in or not, come in through entry points of group `tp`. A plugin is loaded only
when a name requires it, so a broken plugin affects only the commands that need it.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from packaging.utils import canonicalize_name

from tp_core.errors import TpError, did_you_mean
from tp_core.kernel.discovery import OWN, Plugin, discover
from tp_core.kernel.kinds import KINDS
from tp_core.kernel.loading import LoadedPlugin, RegisteredComponent, classify, load

__all__ = [
    "OWN",
    "Catalogue",
    "Plugin",
    "PluginRow",
    "RegisteredComponent",
    "UnknownComponent",
    "UnknownDistribution",
    "discover",
    "load",
]

DISABLE = "TP_DISABLE_PLUGINS"


@dataclass(frozen=True)
class PluginRow:
    """A row of `tp plugins list`; a plugin without components is listed by its entry point.

    `import_ms` and `imports_torch` describe the component's plugin, as in `LoadedPlugin`.
    """

    kind: str
    name: str
    distribution: str
    version: str
    status: str
    summary: str
    import_ms: float | None
    imports_torch: bool | None


class UnknownComponent(TpError):
    """A name that no installed plugin provides, or more than one."""


class UnknownDistribution(UnknownComponent):
    """A `dist:name` whose distribution provides no components of any kind."""


class Catalogue:
    """The available components; a plugin is loaded only when a name requires it.

    - a bare name means the built-in component or, if there is none, the only third-party one;
    - `dist:name` loads only that distribution.
    """

    def __init__(self, plugins: Iterable[Plugin] | None = None, disable: str | None = None) -> None:
        listed = disable if disable is not None else os.environ.get(DISABLE, "")
        words = {word.strip() for word in listed.split(",") if word.strip()}
        off = {canonicalize_name(word) for word in words if word != "*"}
        self.plugins = discover() if plugins is None else list(plugins)
        self.disabled = {
            p.distribution
            for p in self.plugins
            if p.distribution in off or ("*" in words and not p.builtin)
        }
        self._loaded: dict[str, list[LoadedPlugin]] = {}

    def load_distribution(self, distribution: str) -> list[LoadedPlugin]:
        """The loaded plugins of one distribution; loaded once."""
        if distribution not in self._loaded:
            mine = [p for p in self.plugins if p.distribution == distribution]
            enabled = distribution not in self.disabled
            self._loaded[distribution] = classify(map(load, mine)) if enabled else []
        return self._loaded[distribution]

    @cached_property
    def everything(self) -> list[LoadedPlugin]:
        """Every enabled plugin, loaded."""
        distributions = dict.fromkeys(p.distribution for p in self.plugins)
        return [one for name in distributions for one in self.load_distribution(name)]

    def find(self, kind: str, name: str) -> RegisteredComponent:
        """The component with this name. Raises `UnknownComponent` with a hint."""
        distribution, _, bare = name.rpartition(":")
        if distribution:
            return self._find_qualified(kind, canonicalize_name(distribution), bare)
        matches = _named(self.load_distribution(OWN), kind, bare)
        # No third-party code runs for a built-in name.
        matches = matches or _named(self.everything, kind, bare)
        if len(matches) == 1:
            return matches[0]
        if matches:
            choices = " or ".join(f"'{c.qualified}'" for c in matches)
            raise UnknownComponent(
                f"{kind} '{bare}' is provided by several distributions; write {choices}"
            )
        raise UnknownComponent(self._unknown(kind, bare, self.everything))

    def _find_qualified(self, kind: str, distribution: str, bare: str) -> RegisteredComponent:
        if distribution in self.disabled:
            raise UnknownDistribution(f"distribution '{distribution}' is disabled by {DISABLE}")
        if all(p.distribution != distribution for p in self.plugins):
            near = did_you_mean(distribution, {p.distribution for p in self.plugins})
            raise UnknownDistribution(
                f"no installed distribution '{distribution}' provides components for tp.{near} "
                f"To install it: pip install {distribution}"
            )
        source = self.load_distribution(distribution)
        for registered in _named(source, kind, bare):
            return registered
        raise UnknownComponent(self._unknown(kind, bare, source, f" in '{distribution}'"))

    def loaded(self, kind: str) -> list[RegisteredComponent]:
        """The components of a kind loaded so far, built-ins first; loads nothing else."""
        self.load_distribution(OWN)
        order = dict.fromkeys(p.distribution for p in self.plugins)
        return [c for name in order for c in _of_kind(self._loaded.get(name, []), kind)]

    def names(self, kind: str) -> list[str]:
        """The names a config can use for a kind: bare, or `dist:name` if shadowed."""
        rows = [row for row in self.rows(kind) if row.kind]
        return [
            row.name if row.status == "ok" else f"{row.distribution}:{row.name}"
            for row in rows
            if row.status != "disabled"
        ]

    def _unknown(self, kind: str, name: str, source: list[LoadedPlugin], where: str = "") -> str:
        known = [c.component.name for c in _of_kind(source, kind)]
        known += [alias for c in _of_kind(source, kind) for alias in c.component.aliases]
        message = f"no {kind} '{name}'{where}."
        elsewhere = [c.kind for one in source for c in one.components if name in c.names]
        if elsewhere:
            message += f" There is a component of kind {elsewhere[0]} with this name."
        near = did_you_mean(name, known)
        message += near or (f" Available: {', '.join(sorted(set(known)))}." if known else "")
        for one in source:
            if one.broken:
                message += (
                    f"\n  It may be in plugin '{one.plugin.entry}' of {one.plugin.distribution}, "
                    f"which was not loaded ({one.status}): {one.broken}"
                )
        if self.disabled:
            message += f"\n  Disabled by {DISABLE}: {', '.join(sorted(self.disabled))}"
        return message

    def rows(self, kind: str | None = None) -> list[PluginRow]:
        """The rows of `tp plugins list`, with broken and disabled plugins last."""
        found = [c for one in self.everything for c in one.components]
        bare = Counter((c.kind, name) for c in found for name in c.names)
        builtin = {(c.kind, name) for c in found if c.plugin.builtin for name in c.names}
        rows = []
        by_kind: dict[str, list[tuple[LoadedPlugin, RegisteredComponent]]] = defaultdict(list)
        for one in self.everything:
            for registered in one.components:
                by_kind[registered.kind].append((one, registered))
        for wanted in KINDS if kind is None else (kind,):
            for one, c in by_kind[wanted]:
                key = (c.kind, c.component.name)
                status = "ok"
                if not c.plugin.builtin and key in builtin:
                    status = "shadowed"
                elif bare[key] > 1 and key not in builtin:
                    status = "ambiguous"
                rows.append(_row(one, status, c.component.summary, c.kind, c.component.name))
        rows += [_row(one, one.status, one.broken) for one in self.everything if one.broken]
        off = [LoadedPlugin(p) for p in self.plugins if p.distribution in self.disabled]
        return rows + [_row(one, "disabled", f"disabled by {DISABLE}") for one in off]


def _row(
    loaded: LoadedPlugin, status: str, summary: str, kind: str = "", name: str = ""
) -> PluginRow:
    plugin = loaded.plugin
    return PluginRow(
        kind=kind,
        name=name or plugin.entry,
        distribution=plugin.distribution,
        version=plugin.version,
        status=status,
        summary=summary,
        import_ms=loaded.import_ms,
        imports_torch=loaded.imports_torch,
    )


def _of_kind(source: Iterable[LoadedPlugin], kind: str) -> list[RegisteredComponent]:
    return [c for one in source for c in one.components if c.kind == kind]


def _named(source: Iterable[LoadedPlugin], kind: str, name: str) -> list[RegisteredComponent]:
    return [c for c in _of_kind(source, kind) if name in c.names]
