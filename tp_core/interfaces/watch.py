"""Checking what components return, while they are watched and not a moment longer.

Watching puts a checking function in front of each method on the instances themselves and takes it
away again, so a training step pays nothing for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tp_core.config.resolve import Chosen
from tp_core.errors import TpError
from tp_core.interfaces.blame import Built

Check = Callable[[tuple[Any, ...], Any], "str | None"]
"""From (a call's arguments, its result) to what is wrong with the result, if anything."""


@contextmanager
def watched(built: Built, checks: Mapping[str, Mapping[str, Check]]) -> Iterator[None]:
    """Within the `with`, the methods `checks[kind]` names are checked at each call.

    The first fault is raised as a `TpError` with the component, the file and the line.
    """
    replaced: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for made, chosen in built:
            own = getattr(made, "__dict__", None)
            for name, check in checks.get(chosen.kind, {}).items():
                if own is None or not hasattr(made, name):
                    continue
                replaced.append((own, name, own.get(name)))
                own[name] = _checking(made, chosen, name, check)
        yield
    finally:
        for own, name, before in reversed(replaced):
            if before is None:
                del own[name]
            else:
                own[name] = before


def _checking(made: Any, chosen: Chosen, name: str, check: Check) -> Callable[..., Any]:
    method = getattr(made, name)

    def checking(*args: Any) -> Any:
        result = method(*args)
        fault = check(args, result)
        if fault is not None:
            code = getattr(inspect.unwrap(method), "__code__", None)
            at = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
            raise TpError(f"{chosen.kind} '{chosen.name}': {name}() {fault}{at}")
        return result

    return checking
