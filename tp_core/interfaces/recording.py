"""Publish values from inside a component, if anyone is listening.

```python
if recording():
    record("gate", gate.mean())
```

`recording()` is cheap. A published value is processed within the call and has no effect on the
model.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Listener = Callable[[str, Tensor], None]

_listener: Listener | None = None


def recording() -> bool:
    """Whether anyone is listening; check this before computing an expensive value."""
    return _listener is not None


def record(name: str, value: Tensor) -> None:
    """Publish a value under a name; the listener knows the current layer."""
    if _listener is not None:
        _listener(name, value)


def listen(listener: Listener | None) -> None:
    """Send all recorded values to `listener` from now on, or to nobody."""
    global _listener
    _listener = listener
