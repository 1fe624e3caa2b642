"""The catalogue: which component a name means, and what there is.

One entry point per distribution in the group `tp` is the only door, for the built-in components as
for anyone's. A plugin is loaded when a name calls for it, and one that is broken is noticed by
no command that doesn't need it.
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
    """A line of `tp plugins list`; a plugin that gave no component has its entry point as name.

    The last two are of the plugin that brings the component, as in `LoadedPlugin`.
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
    """A name no installed plugin answers to, or more than one does."""


class UnknownDistribution(UnknownComponent):
    """A `dist:name` whose distribution brings nothing, whatever kind of component is asked for."""


class Catalogue:
    """The components a process can reach; loads a plugin only when a name calls for it.

    - a bare name is the built-in's, always; else the one third party's that has it;
    - `dist:name` loads that distribution and nothing else.
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
        """What one distribution's plugins gave; loaded once."""
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
        """The component a config means. Raises `UnknownComponent` with what to do about it."""
        distribution, _, bare = name.rpartition(":")
        if distribution:
            return self._find_qualified(kind, canonicalize_name(distribution), bare)
        matches = _named(self.load_distribution(OWN), kind, bare)
        # Nobody else's code runs for a name that is built in.
        matches = matches or _named(self.everything, kind, bare)
        if len(matches) == 1:
            return matches[0]
        if matches:
            choices = " or ".join(f"'{c.qualified}'" for c in matches)
            raise UnknownComponent(
                f"{kind} '{bare}' is brought by several distributions; write {choices}"
            )
        raise UnknownComponent(self._unknown(kind, bare, self.everything))

    def _find_qualified(self, kind: str, distribution: str, bare: str) -> RegisteredComponent:
        if distribution in self.disabled:
            raise UnknownDistribution(f"distribution '{distribution}' is disabled by {DISABLE}")
        if all(p.distribution != distribution for p in self.plugins):
            near = did_you_mean(distribution, {p.distribution for p in self.plugins})
            raise UnknownDistribution(
                f"no installed distribution '{distribution}' brings components for tp.{near} "
                f"Install it: pip install {distribution}"
            )
        source = self.load_distribution(distribution)
        for registered in _named(source, kind, bare):
            return registered
        raise UnknownComponent(self._unknown(kind, bare, source, f" in '{distribution}'"))

    def loaded(self, kind: str) -> list[RegisteredComponent]:
        """The components of a kind among those loaded so far, built-ins first; loads no more."""
        self.load_distribution(OWN)
        order = dict.fromkeys(p.distribution for p in self.plugins)
        return [c for name in order for c in _of_kind(self._loaded.get(name, []), kind)]

    def names(self, kind: str) -> list[str]:
        """The names a config may use for a kind, as reached: bare, or `dist:name` if shadowed."""
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
            message += f" There is one of kind {elsewhere[0]}."
        near = did_you_mean(name, known)
        message += near or (f" There is: {', '.join(sorted(set(known)))}." if known else "")
        for one in source:
            if one.broken:
                message += (
                    f"\n  Not loaded, so it may be there: plugin '{one.plugin.entry}' of "
                    f"{one.plugin.distribution} is {one.status}: {one.broken}"
                )
        if self.disabled:
            message += f"\n  Disabled by {DISABLE}: {', '.join(sorted(self.disabled))}"
        return message

    def rows(self, kind: str | None = None) -> list[PluginRow]:
        """What `tp plugins list` shows; broken and disabled plugins stand at the end."""
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
