"""Check what components return, within a context manager.

Methods are wrapped on the instances and restored afterwards, so normal training steps have no
overhead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tp_core.assembly.attribution import BuiltComponents
from tp_core.assembly.fewer_arguments import passes_all
from tp_core.config.components import ResolvedComponent
from tp_core.errors import TpError
from tp_core.kernel.kinds import KINDS

Check = Callable[[tuple[Any, ...], Any], "str | None"]
"""Takes a call's arguments and result; returns what is wrong with the result, or None."""


@contextmanager
def checked_outputs(
    built: BuiltComponents, checks: Mapping[str, Mapping[str, Check]]
) -> Iterator[None]:
    """Check the methods in `checks[kind]` at each call that follows the contract.

    A component's own calls of its methods are not checked. The first fault is raised as a `TpError`
    with the component, file and line.
    """
    replaced: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for made, resolved in built:
            own = getattr(made, "__dict__", None)
            for name, check in checks.get(resolved.kind, {}).items():
                if own is None or not hasattr(made, name):
                    continue
                replaced.append((own, name, own.get(name)))
                own[name] = _checking(made, resolved, name, check)
        yield
    finally:
        for own, name, before in reversed(replaced):
            if before is None:
                del own[name]
            else:
                own[name] = before


def _checking(
    made: Any, resolved: ResolvedComponent, name: str, check: Check
) -> Callable[..., Any]:
    method = getattr(made, name)
    offered = KINDS[resolved.kind].methods[name]

    def checking(*args: Any, **named: Any) -> Any:
        result = method(*args, **named)
        fault = check(args, result) if passes_all(offered, args, named) else None
        if fault is not None:
            code = getattr(inspect.unwrap(method), "__code__", None)
            at = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
            raise TpError(f"{resolved.kind} '{resolved.name}': {name}() {fault}{at}")
        return result

    return checking
