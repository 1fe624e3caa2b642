"""What can be said of a component's class once it is imported. Torch comes with it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

from tp_core.assembly.fewer_arguments import adapt
from tp_core.errors import TpError, did_you_mean
from tp_core.interfaces.metrics import Headline
from tp_core.kernel.component import SITES
from tp_core.kernel.kinds import KINDS
from tp_core.kernel.loading import RegisteredComponent
from tp_core.kernel.tracebacks import raised_at, summary, top_level
from tp_core.plugin_check.findings import Finding


def target_findings(registered: RegisteredComponent, hook_place: str) -> Iterator[Finding]:
    """What is wrong with the class a descriptor points at; `hook_place` is where it does."""
    component, who = registered.component, f"{registered.kind} '{registered.component.name}'"
    name, _, attribute = component.target.partition(":")
    try:
        module = importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may call sys.exit
        place = raised_at(error, inside=(top_level(name),)) or hook_place
        yield Finding(
            place, f"{who}: target '{component.target}' can't be imported: {summary(error)}"
        )
        return
    cls = getattr(module, attribute, None)
    if not isinstance(cls, type):
        classes = [word for word, value in vars(module).items() if isinstance(value, type)]
        what = "isn't there" if cls is None else "is no class"
        near = did_you_mean(attribute, classes)
        yield Finding(hook_place, f"{who}: target '{component.target}' {what}.{near}")
        return
    for message in _class_faults(registered, cls):
        yield Finding(_place(cls), f"{who}: {message}")


def _class_faults(registered: RegisteredComponent, cls: type) -> Iterator[str]:
    kind, needs = registered.kind, registered.component.needs
    try:
        inspect.signature(cls).bind("options", "ctx")
    except (TypeError, ValueError):
        yield f"{cls.__qualname__} can't be made as {cls.__qualname__}(options, ctx)"
    if kind == "positional_encoding":
        has = {site for site in SITES if callable(getattr(cls, site, None))}
        if set(needs) != has:
            yield (
                f"its descriptor says needs={tuple(needs)}, and {cls.__qualname__} has methods for "
                f"{tuple(site for site in SITES if site in has)}"
            )
        scope = getattr(cls, "scope", "model")
        if scope not in ("model", "layer"):
            yield f"{cls.__qualname__}.scope is {scope!r}, not 'model' or 'layer'"
    try:
        adapt(cls, kind, tuple(need for need in needs if callable(getattr(cls, need, None))))
    except TpError as error:
        yield f"{error}{_misspelt(cls, kind)}"
    if kind == "metric":
        headline: Any = getattr(cls, "headline", None)
        if not headline or not all(isinstance(one, Headline) for one in headline):
            yield f"{cls.__qualname__} has no `headline`: a tuple of tp_core.interfaces.Headline"


def _misspelt(cls: type, kind: str) -> str:
    """A guess at which of the class's methods was meant for one of its contract's."""
    own = [name for name in vars(cls) if callable(getattr(cls, name)) and name[:2] != "__"]
    for wanted in KINDS[kind].methods:
        if wanted not in own and (near := did_you_mean(wanted, own)):
            return f".{near.replace('Did you mean', 'Is it')}"
    return ""


def _place(cls: type) -> str:
    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return cls.__module__
