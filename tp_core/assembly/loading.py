"""From a component's target to the class that is built."""

from __future__ import annotations

import importlib

from tp_core.assembly.attribution import component_error
from tp_core.assembly.fewer_arguments import adapt
from tp_core.config.components import ResolvedComponent
from tp_core.errors import TpError


def load_class(resolved: ResolvedComponent) -> type:
    """Import a component's class. Raises `TpError` naming its target where that fails."""
    component = resolved.registered.component
    module, _, name = component.target.partition(":")
    try:
        cls = getattr(importlib.import_module(module), name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may call sys.exit
        raise component_error(
            resolved, f"target '{component.target}' can't be imported", error
        ) from error
    if not isinstance(cls, type):
        raise TpError(f"{resolved.kind} '{resolved.name}': target '{component.target}' is no class")
    try:
        return adapt(cls, resolved.kind, component.needs)
    except TpError as error:
        raise TpError(f"{resolved.kind} '{resolved.name}': {error}") from None
