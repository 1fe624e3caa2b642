"""The conformance kit: tests that components fulfil the contract of their kind.

To test a plugin, put this in a test file:

```python
from tp_core.testing import conformance

test_components = conformance("tp-relu2")
```

`run_conformance` returns the same results as data; `tp plugins test DIST` prints them.
Importing this package imports neither torch nor pytest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tp_core.testing.kit import conformance, run_conformance
    from tp_core.testing.results import CheckResult

__all__ = ["CheckResult", "conformance", "run_conformance"]

_HOME = {
    "CheckResult": "tp_core.testing.results",
    "conformance": "tp_core.testing.kit",
    "run_conformance": "tp_core.testing.kit",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'tp_core.testing' has no attribute '{name}'")
