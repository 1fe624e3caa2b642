"""The process that imports a distribution's plugins: `python -m tp_core.plugin_check.probe`.

Writes findings to a file line by line, so that none are lost if a plugin ends the process. Torch is
imported by the first target, or by a plugin that imports it too early.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tp_core.kernel.catalogue import Catalogue
from tp_core.kernel.discovery import GROUP, OWN, Plugin
from tp_core.kernel.kinds import KINDS
from tp_core.kernel.loading import LoadedPlugin, RegisteredComponent, classify, load, locate
from tp_core.plugin_check.descriptors import descriptor_findings
from tp_core.plugin_check.findings import Finding

Say = Callable[..., None]


class TorchWatch:
    """A finder in first place that records who imports torch, and finds nothing itself."""

    def __init__(self) -> None:
        self.place = ""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "torch" and not self.place:
            self.place = _importer(sys._getframe(1))


def _importer(frame: FrameType | None) -> str:
    """`file:line` of the import statement that is running, tp's own left out."""
    own = str(Path(__file__).parents[1])
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(("<", own)) and "importlib" not in file:
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


def main(answers: str, written: str) -> None:
    rows = json.loads(written)
    plugins = [Plugin(**{**row, "requires": tuple(row["requires"])}) for row in rows]
    with Path(answers).open("w", encoding="utf-8", buffering=1) as file:

        def say(event: str, /, **more: Any) -> None:
            print(json.dumps({"type": event, **more}), file=file)

        _probe(plugins, say)
        say("at", what="end")


def _probe(plugins: list[Plugin], say: Say) -> None:
    def tell(findings: Iterable[Finding]) -> None:
        for finding in findings:
            say("finding", finding=asdict(finding))

    loaded = []
    for plugin in plugins:
        say("at", what=f"importing '{plugin.value}'")
        watch = TorchWatch()
        sys.meta_path.insert(0, watch)
        loaded.append(load(plugin))
        sys.meta_path.remove(watch)
        if watch.place:
            tell([_early_torch(watch.place)])
    loaded = classify(loaded)
    tell(_broken(one) for one in loaded if one.broken)
    found = [registered for one in loaded for registered in one.components]
    catalogue = Catalogue(disable="")
    for registered in found:
        say("component", kind=registered.kind, name=registered.component.name)
        say("at", what=f"checking {registered.kind} '{registered.component.name}'")
        tell(descriptor_findings(registered, hook_place(registered), catalogue))
        tell(_shadowed(registered, catalogue))
    for registered in found:
        say("at", what=f"importing '{registered.component.target}'")
        from tp_core.plugin_check.targets import target_findings

        tell(target_findings(registered, hook_place(registered)))


def _broken(one: LoadedPlugin) -> Finding:
    module = one.plugin.value.partition(":")[0]
    place = locate(module) or module or f"{one.plugin.distribution} {one.plugin.version}"
    return Finding(place, f"entry point '{one.plugin.entry}': {one.broken}")


def _early_torch(place: str) -> Finding:
    return Finding(
        place,
        "importing the descriptors imports torch, which makes every command slow",
        "import only tp_core in descriptors; torch and tp_core.interfaces belong in the targets",
    )


def _shadowed(registered: RegisteredComponent, catalogue: Catalogue) -> Iterable[Finding]:
    if registered.plugin.distribution == OWN:
        return
    own = [c for one in catalogue.load_distribution(OWN) for c in one.components]
    built_in = {name for c in own if c.kind == registered.kind for name in c.names}
    for name in registered.names:
        if name in built_in:
            yield Finding(
                f"{registered.kind} '{name}'",
                "has the name of a built-in component, which takes precedence",
                f"rename it, or write '{registered.plugin.distribution}:{name}' in configs",
            ).as_warning()


def hook_place(registered: RegisteredComponent) -> str:
    """`file:line` of the function that brings a component."""
    plugin = registered.plugin
    try:
        module = importlib.metadata.EntryPoint(plugin.entry, plugin.value, GROUP).load()
        hook = inspect.unwrap(getattr(module, KINDS[registered.kind].hook))
        code = getattr(hook, "__code__", None)
        if isinstance(code, CodeType):
            return f"{code.co_filename}:{code.co_firstlineno}"
    except Exception:  # a plugin's own objects answer, as they like
        return f"entry point {plugin.entry}"
    return f"entry point {plugin.entry}"


if __name__ == "__main__":
    main(*sys.argv[1:])
