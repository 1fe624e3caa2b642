"""Numbers as a result may hold them: finite, or None where there is nothing to say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

PerSample = dict[str, NDArray[np.float64]]
"""By dotted key, the value of each sample, fp64 [n]; NaN is a sample that doesn't count."""


def finite(value: float | None) -> float | None:
    """`value` as a float, None where it is none or not finite: JSON holds neither."""
    return float(value) if value is not None and math.isfinite(value) else None


def share(part: float, whole: float) -> float | None:
    """`part` out of `whole`; None out of nothing."""
    return finite(part / whole) if whole else None


def means(values: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """The mean of each array without its NaNs, dotted keys made nested dicts."""
    result: dict[str, Any] = {}
    for key, array in values.items():
        *path, last = key.split(".")
        place = result
        for part in path:
            place = place.setdefault(part, {})
        counted = array[~np.isnan(array)]
        place[last] = finite(counted.mean()) if len(counted) else None
    return result
