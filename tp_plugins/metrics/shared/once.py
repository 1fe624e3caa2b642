"""What is built from a whole split, built once.

A report asks the same metric about many sets of samples while the training text stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """`build(texts)`, kept until it is asked about other texts.

    The same object is the same texts: a million phrases are not compared. They are held on to, so
    that no other object can take their place in memory.
    """

    def __init__(self, build: Callable[[Sequence[str]], T]) -> None:
        self._build = build
        self._kept: tuple[Sequence[str], T] | None = None

    def __call__(self, texts: Sequence[str]) -> T:
        if self._kept is None or self._kept[0] is not texts:
            self._kept = None  # before building: two at a time may not fit
            self._kept = (texts, self._build(texts))
        return self._kept[1]


def evenly(texts: Sequence[str], most: int) -> Sequence[str]:
    """At most `most` of the texts, evenly spaced: a file may be sorted."""
    n = len(texts)
    return [texts[i * n // most] for i in range(most)] if n > most else texts
