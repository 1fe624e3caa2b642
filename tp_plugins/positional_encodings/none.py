"""No positional encoding (Kazemnejad et al. 2023, arXiv:2305.19466).

A causal mask alone tells a decoder how many tokens came before, so it can count positions itself.
"""

from __future__ import annotations

from typing import Any


class NoEncoding:
    """Acts on no site."""

    def __init__(self, options: Any, ctx: Any) -> None:
        pass
