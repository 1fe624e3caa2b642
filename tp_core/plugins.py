"""From installed distributions to components, in four stages: discover, load, classify, find.

One entry point per distribution in the group `tp` is the only door, for the built-in components as
for anyone's. A plugin is loaded with everything it may do wrong held in: what it raises becomes the
reason on its row, and no command that doesn't need it notices.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import sys
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pluggy
from packaging.utils import canonicalize_name

from tp_core import hookspecs
from tp_core.component import Component
from tp_core.errors import TpError, did_you_mean

GROUP = "tp"
OWN = "transformer-playground"
DISABLE = "TP_DISABLE_PLUGINS"


@dataclass(frozen=True)
class Plugin:
    """An entry point as found on disk, before any of its code runs."""

    distribution: str
    version: str
    entry: str
    value: str

    @property
    def builtin(self) -> bool:
        return self.distribution == OWN


@dataclass(frozen=True)
class Registered:
    """A component and where it came from."""

    kind: str
    component: Component
    plugin: Plugin

    @property
    def qualified(self) -> str:
        """`dist:name`; built-ins keep their bare name."""
        name = self.component.name
        return name if self.plugin.builtin else f"{self.plugin.distribution}:{name}"

    @property
    def names(self) -> tuple[str, ...]:
        return (self.component.name, *self.component.aliases)


@dataclass(frozen=True)
class Loaded:
    """A plugin after its code ran: its components, or the reason it has none."""

    plugin: Plugin
    components: tuple[Registered, ...] = ()
    broken: str = ""


@dataclass(frozen=True)
class Row:
    """A line of `tp plugins list`; a plugin that gave no component has its entry point as name."""

    kind: str
    name: str
    distribution: str
    version: str
    status: str
    summary: str


class UnknownComponent(TpError):
    """A name no installed plugin answers to, or more than one does."""


class BrokenPlugin(Exception):
    """What a plugin did wrong, while it is staged."""


def discover() -> list[Plugin]:
    """Every entry point of group `tp`, built-ins first, then by distribution and name.

    An editable install shows up twice on the path (checkout and site-packages): the first counts.
    """
    found: dict[tuple[str, str], Plugin] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        # Without name or version it is what an interrupted uninstall left.
        if entry.dist is None or not all(k in entry.dist.metadata for k in ("Name", "Version")):
            continue
        plugin = Plugin(
            canonicalize_name(entry.dist.name), entry.dist.version, entry.name, entry.value
        )
        found.setdefault((plugin.distribution, plugin.entry), plugin)
    return sorted(found.values(), key=lambda p: (not p.builtin, p.distribution, p.entry))


def load(plugin: Plugin) -> Loaded:
    """Import one plugin and collect its components: all of them, or none and the reason."""
    entry = importlib.metadata.EntryPoint(plugin.entry, plugin.value, GROUP)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return Loaded(plugin, tuple(_stage(plugin, entry.load())))
    except KeyboardInterrupt:
        raise
    except BrokenPlugin as fault:
        return Loaded(plugin, broken=str(fault))
    except BaseException as fault:  # a plugin may call sys.exit
        if os.environ.get("TP_TRACEBACK"):
            traceback.print_exc()
        return Loaded(plugin, broken=_describe(fault, plugin))


def _stage(plugin: Plugin, module: Any) -> Iterator[Registered]:
    # A manager of its own, so that no plugin's registration can meet another's.
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module, name=plugin.entry)
    callers = manager.get_hookcallers(module) or []
    hooks = [hookspecs.hook_of(kind) for kind in hookspecs.KINDS]
    for caller in callers:
        if not caller.has_spec() and not all(i.optionalhook for i in caller.get_hookimpls()):
            raise BrokenPlugin(
                f"hook '{caller.name}' is none of tp's.{did_you_mean(caller.name, hooks)} "
                "(@hookimpl(optionalhook=True) marks one for a later tp)"
            )
    taken: set[tuple[str, str]] = set()
    empty = True
    for kind, hook in zip(hookspecs.KINDS, hooks, strict=True):
        # Called one by one: pluggy's own call leaves out a None, which a missing `return` gives.
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            for component in _checked(hook, implementation.function()):
                registered = Registered(kind, component, plugin)
                if component.needs and kind != "positional_encoding":
                    raise BrokenPlugin(
                        f"{kind} '{component.name}': 'needs' is for positional encodings; "
                        "an attention's sites come from its options' offers()"
                    )
                for name in registered.names:
                    if (kind, name) in taken:
                        raise BrokenPlugin(f"two components of kind {kind} are called '{name}'")
                    taken.add((kind, name))
                empty = False
                yield registered
    if empty:
        raise BrokenPlugin("no component (missing @hookimpl?)")


def _checked(hook: str, components: Any) -> Iterable[Component]:
    if isinstance(components, (Component, str)) or not isinstance(components, Iterable):
        raise BrokenPlugin(f"{hook} returned {components!r:.60}, not a list of Component")
    for component in components:
        if not isinstance(component, Component):
            raise BrokenPlugin(f"{hook} returned {component!r:.60}, which is no Component")
        yield component


def _describe(fault: BaseException, plugin: Plugin) -> str:
    text = " ".join(str(fault).split())
    message = f"{type(fault).__name__}: {text}" if text else type(fault).__name__
    if isinstance(fault, SystemExit):
        message = f"called sys.exit({fault.code!r})"
    if isinstance(fault, SyntaxError):
        return message
    package = _package(plugin.value)
    own = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(fault.__traceback__)
        if _package(str(frame.f_globals.get("__name__", ""))) == package
    ]
    if own:
        return f"{message} ({own[-1][0]}:{own[-1][1]})"
    return f"can't load '{plugin.value}': {message}"


def _package(module: str) -> str:
    return module.partition(":")[0].partition(".")[0]


def classify(loaded: Iterable[Loaded]) -> list[Loaded]:
    """Refuse what only shows side by side: one name twice inside one distribution."""
    taken: dict[tuple[str, str, str], str] = {}
    result = []
    for one in loaded:
        names = [
            (one.plugin.distribution, c.kind, name) for c in one.components for name in c.names
        ]
        clash = next((key for key in names if key in taken), None)
        if clash:
            reason = (
                f"{clash[1]} '{clash[2]}' is already registered by entry point '{taken[clash]}'"
            )
            one = replace(one, components=(), broken=reason)
        else:
            taken.update(dict.fromkeys(names, one.plugin.entry))
        result.append(one)
    return result


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
        self._loaded: dict[str, list[Loaded]] = {}

    def load_distribution(self, distribution: str) -> list[Loaded]:
        """What one distribution's plugins gave; loaded once."""
        if distribution not in self._loaded:
            mine = [p for p in self.plugins if p.distribution == distribution]
            enabled = distribution not in self.disabled
            self._loaded[distribution] = classify(map(load, mine)) if enabled else []
        return self._loaded[distribution]

    @cached_property
    def everything(self) -> list[Loaded]:
        """Every enabled plugin, loaded."""
        distributions = dict.fromkeys(p.distribution for p in self.plugins)
        return [one for name in distributions for one in self.load_distribution(name)]

    def find(self, kind: str, name: str) -> Registered:
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

    def _find_qualified(self, kind: str, distribution: str, bare: str) -> Registered:
        if distribution in self.disabled:
            raise UnknownComponent(f"distribution '{distribution}' is disabled by {DISABLE}")
        if all(p.distribution != distribution for p in self.plugins):
            near = did_you_mean(distribution, {p.distribution for p in self.plugins})
            raise UnknownComponent(
                f"no installed distribution '{distribution}' brings components for tp.{near} "
                f"Install it: pip install {distribution}"
            )
        source = self.load_distribution(distribution)
        for registered in _named(source, kind, bare):
            return registered
        raise UnknownComponent(self._unknown(kind, bare, source, f" in '{distribution}'"))

    def loaded(self, kind: str) -> list[Registered]:
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

    def _unknown(self, kind: str, name: str, source: list[Loaded], where: str = "") -> str:
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
                    f"{one.plugin.distribution} is broken: {one.broken}"
                )
        if self.disabled:
            message += f"\n  Disabled by {DISABLE}: {', '.join(sorted(self.disabled))}"
        return message

    def rows(self, kind: str | None = None) -> list[Row]:
        """What `tp plugins list` shows; broken and disabled plugins stand at the end."""
        found = [c for one in self.everything for c in one.components]
        bare = Counter((c.kind, name) for c in found for name in c.names)
        builtin = {(c.kind, name) for c in found if c.plugin.builtin for name in c.names}
        rows = []
        by_kind: dict[str, list[Registered]] = defaultdict(list)
        for registered in found:
            by_kind[registered.kind].append(registered)
        for wanted in hookspecs.KINDS if kind is None else (kind,):
            for c in by_kind[wanted]:
                key = (c.kind, c.component.name)
                status = "ok"
                if not c.plugin.builtin and key in builtin:
                    status = "shadowed"
                elif bare[key] > 1 and key not in builtin:
                    status = "ambiguous"
                rows.append(_row(c.plugin, status, c.component.summary, c.kind, c.component.name))
        rows += [_row(o.plugin, "broken", o.broken) for o in self.everything if o.broken]
        off = [p for p in self.plugins if p.distribution in self.disabled]
        return rows + [_row(p, "disabled", f"disabled by {DISABLE}") for p in off]


def _row(plugin: Plugin, status: str, summary: str, kind: str = "", name: str = "") -> Row:
    return Row(kind, name or plugin.entry, plugin.distribution, plugin.version, status, summary)


def _of_kind(source: Iterable[Loaded], kind: str) -> list[Registered]:
    return [c for one in source for c in one.components if c.kind == kind]


def _named(source: Iterable[Loaded], kind: str, name: str) -> list[Registered]:
    return [c for c in _of_kind(source, kind) if name in c.names]
