"""Generation guided by a regular expression (the task of Willard & Louf 2023, arXiv:2307.09702).

A token stays if the text generated so far, with the token's own, is the beginning of some text that
matches the whole pattern; the end token stays if the text matches already. The prompt doesn't
count. Instead of the paper's automaton over the vocabulary, `regex` is asked of each token whether
the text is a partial match; what was found is kept for texts that come again.

A text that ends with the end token therefore matches. It may also stop short of a match, at
`max_new_tokens`, or where no token is allowed: then the end token is what stays, even if the text
doesn't match, and if an earlier sampler removed that too, the row goes through as it is. Stand
first in the chain, so that the others choose among what is allowed. Of two things `regex` doesn't
look ahead, and both end in such a place at worst: look-arounds and `\\b`, and that a character may
have to be spelled in bytes. Bytes that aren't a whole character yet are allowed towards those
characters that stand in the pattern itself; a class like `.` reaches only characters that have
a piece of their own.
"""

from __future__ import annotations

import codecs
import functools
from collections import defaultdict

import regex
import torch
from torch import Tensor

from tp_core.interfaces import BuildContext, SamplerStep
from tp_plugins.samplers import AllowedTextOptions

_REMEMBERED = 256  # texts; a mask is a byte per token


class AllowedText:
    uses_ids = True

    def __init__(self, options: AllowedTextOptions, ctx: BuildContext) -> None:
        if ctx.vocabulary is None:
            raise ValueError("it must know what tokens stand for")
        self.vocabulary = ctx.vocabulary
        self.pattern = regex.compile(options.pattern)
        self.spelled = tuple(c for c in dict.fromkeys(options.pattern) if not c.isascii())
        # Where a first letter can't stand, none of the many pieces that begin with it can.
        self.heads: dict[bytes, list[int]] = defaultdict(list)
        for token, piece in enumerate(self.vocabulary.pieces):
            if piece:
                self.heads[piece[:1] if piece[:1].isascii() else piece].append(token)
        self.allowed = functools.lru_cache(_REMEMBERED)(self._allowed)

    def __call__(self, logits: Tensor, step: SamplerStep) -> Tensor:
        pieces = self.vocabulary.pieces
        bounds = zip(step.prompt_lengths.tolist(), step.lengths.tolist(), strict=True)
        texts = [
            b"".join(pieces[token] for token in row[begin:end])
            for row, (begin, end) in zip(step.history.tolist(), bounds, strict=True)
        ]
        allowed = torch.stack([self.allowed(text) for text in texts]).to(logits.device)
        is_end = torch.arange(logits.shape[1], device=logits.device) == self.vocabulary.eos_id
        kept = logits
        for mask in (is_end, allowed):  # the second where it leaves anything
            removed = logits.masked_fill(~mask, -torch.inf)
            kept = torch.where(removed.isfinite().any(-1, keepdim=True), removed, kept)
        return kept

    def _allowed(self, text: bytes) -> Tensor:
        """Which tokens may come after `text`, bool [V]."""
        pieces = self.vocabulary.pieces
        allowed = torch.zeros(len(pieces), dtype=torch.bool)
        for head, tokens in self.heads.items():
            if self._begins(text + head):
                fit = [t for t in tokens if pieces[t] == head or self._begins(text + pieces[t])]
                allowed[fit] = True
        whole = _characters(text)
        matches = whole is not None and not whole[1] and self.pattern.fullmatch(whole[0])
        allowed[self.vocabulary.eos_id] = bool(matches)
        return allowed

    def _begins(self, text: bytes) -> bool:
        """Whether some text that matches begins with `text`."""
        split = _characters(text)
        if split is None:
            return False
        whole, rest = split
        if not rest:
            return self.pattern.fullmatch(whole, partial=True) is not None
        return any(
            self.pattern.fullmatch(whole + c, partial=True) is not None
            for c in self.spelled
            if c.encode().startswith(rest)
        )


def _characters(text: bytes) -> tuple[str, bytes] | None:
    """Whole characters and the bytes of one that isn't finished; None for what is no UTF-8."""
    try:
        return text.decode(), b""
    except UnicodeDecodeError:
        pass
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        return decoder.decode(text), decoder.getstate()[0]
    except UnicodeDecodeError:
        return None
