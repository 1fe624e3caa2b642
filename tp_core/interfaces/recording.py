"""Publishing what happens inside a component, for whoever is looking; nobody is, most of the time.

```python
if recording():
    record("gate", gate.mean())
```

Asking `recording()` costs a comparison. What is published is looked at within the call and changes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Listener = Callable[[str, Tensor], None]

_listener: Listener | None = None


def recording() -> bool:
    """Whether anyone is looking: what costs something to compute is computed only then."""
    return _listener is not None


def record(name: str, value: Tensor) -> None:
    """Publish a value under a name; the listener knows which layer is computing."""
    if _listener is not None:
        _listener(name, value)


def listen(listener: Listener | None) -> None:
    """Hand everything that is recorded to `listener` from now on, or to nobody."""
    global _listener
    _listener = listener
