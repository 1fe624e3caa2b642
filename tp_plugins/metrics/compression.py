"""How much the samples repeat, to a compressor (Shaib et al. 2024, arXiv:2403.00553).

    compression ratio = bytes of the samples, one a line / bytes that zlib at level 9 makes of them

Finds whatever recurs within 32 KiB: words, phrases, whole samples. They are sorted, so that the
order they were drawn in makes no difference. The ratio rises with the amount of text: compare it
for equally many samples only.
"""

from __future__ import annotations

import zlib
from typing import Any

from tp_core.interfaces import Headline, MetricView
from tp_plugins.metrics.shared.values import share


class Compression:
    of_samples = True
    headline = (Headline("compression_ratio", "", "lower"),)

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """Null without samples."""
        data = "".join(f"{text}\n" for text in sorted(view.samples)).encode()
        ratio = share(len(data), len(zlib.compress(data, 9))) if data else None
        return {"bytes": len(data), "compression_ratio": ratio}
