"""Load plugins: from an entry point to the components it registers.

An exception raised while loading becomes the reason why the plugin is broken. A plugin provides
either all of its components or none.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pluggy

from tp_core.errors import did_you_mean
from tp_core.kernel import hookspecs
from tp_core.kernel.component import Component
from tp_core.kernel.discovery import GROUP, Plugin, incompatibility
from tp_core.kernel.kinds import KINDS
from tp_core.kernel.tracebacks import raised_at, summary, top_level


@dataclass(frozen=True)
class RegisteredComponent:
    """A component and the plugin that provides it."""

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
class LoadedPlugin:
    """A loaded plugin: its components, or the reason why it has none.

    An `incompatible` plugin requires another version of tp; its code didn't run and `import_ms` is
    None. `imports_torch` is None, meaning unknown, if torch had already been imported.
    """

    plugin: Plugin
    components: tuple[RegisteredComponent, ...] = ()
    broken: str = ""
    incompatible: bool = False
    import_ms: float | None = None
    imports_torch: bool | None = None

    @property
    def status(self) -> str:
        return "incompatible" if self.incompatible else "broken" if self.broken else "ok"


class BrokenPlugin(Exception):
    """Why a plugin is broken."""


def load(plugin: Plugin) -> LoadedPlugin:
    """Import one plugin and collect its components, or the reason why it has none."""
    reason = incompatibility(plugin)
    if reason:
        return LoadedPlugin(plugin, broken=reason, incompatible=True)
    torch_before, began = "torch" in sys.modules, time.perf_counter()
    components, reason = _load(plugin)
    return LoadedPlugin(
        plugin,
        components,
        reason,
        import_ms=(time.perf_counter() - began) * 1e3,
        imports_torch=None if torch_before else "torch" in sys.modules,
    )


def _load(plugin: Plugin) -> tuple[tuple[RegisteredComponent, ...], str]:
    entry = importlib.metadata.EntryPoint(plugin.entry, plugin.value, GROUP)
    try:
        if plugin.fault:
            raise BrokenPlugin(plugin.fault)
        if not entry.pattern.match(plugin.value):
            raise BrokenPlugin(f"'{plugin.value}' is neither 'module' nor 'module:object'")
        with contextlib.redirect_stdout(sys.stderr):
            return tuple(_stage(plugin, entry.load())), ""
    except KeyboardInterrupt:
        raise
    except BrokenPlugin as fault:
        return (), str(fault)
    except BaseException as fault:  # a plugin may call sys.exit
        if os.environ.get("TP_TRACEBACK"):
            traceback.print_exc()
        return (), _describe(fault, plugin)


def _stage(plugin: Plugin, module: Any) -> Iterator[RegisteredComponent]:
    # A separate manager for each plugin isolates their registrations.
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module, name=plugin.entry)
    callers = manager.get_hookcallers(module) or []
    hooks = [kind.hook for kind in KINDS.values()]
    for caller in callers:
        if not caller.has_spec() and not all(i.optionalhook for i in caller.get_hookimpls()):
            raise BrokenPlugin(
                f"hook '{caller.name}' is not a hook of tp.{did_you_mean(caller.name, hooks)} "
                "(mark hooks of a later tp with @hookimpl(optionalhook=True))"
            )
    taken: set[tuple[str, str]] = set()
    empty = True
    for kind, hook in zip(KINDS, hooks, strict=True):
        # Called one by one: pluggy drops a None result, which a missing `return` gives.
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            for component in _checked(hook, implementation.function()):
                registered = RegisteredComponent(kind, component, plugin)
                if component.needs and kind != "positional_encoding":
                    raise BrokenPlugin(
                        f"{kind} '{component.name}': 'needs' is for positional encodings; "
                        "an attention's sites come from its options' offers()"
                    )
                for name in registered.names:
                    if (kind, name) in taken:
                        raise BrokenPlugin(
                            f"two components of kind {kind} are named '{name}'; rename one"
                        )
                    taken.add((kind, name))
                empty = False
                yield registered
    if empty:
        raise BrokenPlugin("registers no components (missing @hookimpl?)")


def _checked(hook: str, components: Any) -> Iterable[Component]:
    if isinstance(components, (Component, str)) or not isinstance(components, Iterable):
        hint = " (missing return?)" if components is None else ""
        raise BrokenPlugin(f"{hook} returned {components!r:.60}, not a list of Component{hint}")
    for component in components:
        if not isinstance(component, Component):
            raise BrokenPlugin(f"{hook} returned {component!r:.60}, which is not a Component")
        yield component


def _describe(fault: BaseException, plugin: Plugin) -> str:
    message, package = summary(fault), top_level(plugin.value)
    if isinstance(fault, SystemExit):
        message = f"called sys.exit({fault.code!r})"
    if isinstance(fault, SyntaxError) and fault.filename:
        message = f"{type(fault).__name__}: {fault.msg}"
    if isinstance(fault, ModuleNotFoundError) and fault.name:
        missing = top_level(fault.name)
        whose = f"reinstall it: pip install --force-reinstall {plugin.distribution}"
        if missing != package:
            whose = f"install the missing dependency: pip install {missing}"
        message += f"; {whose}"
    place = raised_at(fault, inside=(package,))
    return f"{message} ({place})" if place else f"can't load '{plugin.value}': {message}"


def classify(loaded: Iterable[LoadedPlugin]) -> list[LoadedPlugin]:
    """Mark plugins as broken that repeat a name within one distribution."""
    taken: dict[tuple[str, str, str], str] = {}
    result = []
    for one in loaded:
        names = [
            (one.plugin.distribution, c.kind, name) for c in one.components for name in c.names
        ]
        clash = next((key for key in names if key in taken), None)
        if clash:
            reason = (
                f"{clash[1]} '{clash[2]}' is already registered by entry point '{taken[clash]}'; "
                "rename one"
            )
            one = replace(one, components=(), broken=reason)
        else:
            taken.update(dict.fromkeys(names, one.plugin.entry))
        result.append(one)
    return result


def locate(module: str) -> str | None:
    """The file of a module, found without importing it or its packages."""
    name, _, rest = module.partition(".")
    try:
        spec = importlib.util.find_spec(name)
        for part in rest.split(".") if rest else ():
            if spec is None:
                return None
            name = f"{name}.{part}"
            below = spec.submodule_search_locations
            # A plain module has no submodules; None would search all of sys.path.
            spec = importlib.machinery.PathFinder.find_spec(name, list(below or ()))
    except (ImportError, ValueError):
        return None
    return spec.origin if spec else None
