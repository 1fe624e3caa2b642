"""What bits per byte mean on this text: those of three simple predictors on the same phrases.

- `character_unigram`: every character has its frequency in the training text, whatever precedes it;
- `character_5gram`: it depends on the four before it (Witten-Bell smoothing, as in
  evaluation/char_ngram.py);
- `zlib`: the size of the validation phrases, one a line in one text, when deflate at level 9 is
  primed with training text, as much as it can look back on: 32 KiB. As it goes on, it looks back on
  validation phrases instead, which no model does; compressing each alone would charge it for whole
  bytes and code tables, more than a short phrase holds.

All over (UTF-8 bytes + 1) of the validation phrases, or of 20,000 of them, like the figure of
`likelihood`. A model above the 5-gram has not learned much beyond spelling.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from tp_core.evaluation.char_ngram import CharNgram
from tp_core.interfaces import Headline, MetricView
from tp_plugins.metrics.shared.characters import MOST_LINES, five_gram
from tp_plugins.metrics.shared.once import evenly

WINDOW = 1 << 15
MOST_HELD_OUT = 20_000
"""Validation phrases looked at, at most, evenly spaced."""


class Baselines:
    headline = tuple(
        Headline(f"{name}.bits_per_byte", "bit/byte", "neither")
        for name in ("character_unigram", "character_5gram", "zlib")
    )

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """Null where there are no phrases of one split or the other."""
        train, all_val = view.texts.get("train", ()), view.texts.get("val", ())
        val = evenly(all_val, MOST_HELD_OUT)
        known = bool(train) and bool(val)
        seen = evenly(train, MOST_LINES)
        figures = {
            "character_unigram": CharNgram(1).fit(seen).bits_per_byte(val) if known else None,
            "character_5gram": five_gram(train).bits_per_byte(val) if known else None,
            "zlib": _zlib_bits_per_byte(seen, val) if known else None,
        }
        return {"lines": len(val), **{name: {"bits_per_byte": v} for name, v in figures.items()}}


def _zlib_bits_per_byte(train: Sequence[str], val: Sequence[str]) -> float:
    """Raw deflate, without the header and checksum of a file."""
    size = sum(len(text.encode()) + 1 for text in train)
    some = evenly(train, -(-len(train) * WINDOW // size))
    dictionary = _text(some)[-WINDOW:]
    stream = zlib.compressobj(9, zlib.DEFLATED, -15, zlib.DEF_MEM_LEVEL, 0, dictionary)
    data = _text(val)
    return 8 * (len(stream.compress(data)) + len(stream.flush())) / len(data)


def _text(phrases: Sequence[str]) -> bytes:
    return "".join(f"{phrase}\n" for phrase in phrases).encode()
