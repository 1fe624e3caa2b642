"""What the tests of the command line share: how to run `tp`, and what comes back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

TP = [sys.executable, "-c", "import sys; from tp_core.cli import main; sys.exit(main())"]


@dataclass(frozen=True)
class Done:
    """How a `tp` ended, and what it wrote to stdout and stderr."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]
