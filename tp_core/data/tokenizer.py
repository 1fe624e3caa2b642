"""The tokenizer: a lossless SentencePiece model.

Nothing is normalised, trimmed or prefixed, and characters too rare for their own token fall back to
bytes. Method: Kudo and Richardson, 2018 (SentencePiece); Kudo, 2018 (unigram);
Sennrich et al., 2016 (BPE). Torch-free.
"""

from __future__ import annotations

import codecs
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from tp_core.errors import TpError
from tp_core.rng import derive_seed, phrase_hashes

# SentencePiece writes a space as this character, so the two cannot be told apart afterwards. Every
# other character survives the round trip, controls and NUL included.
SPACE_MARK = "\u2581"

T = TypeVar("T")

MODEL_TYPES = ("unigram", "bpe", "char")

# What one training looks at, at most: enough for any vocabulary, and minutes even where every word
# is new (the unigram trainer's suffix array takes some 20 bytes a character).
MAX_TRAINING_LINES = 200_000
MAX_TRAINING_CHARACTERS = 20_000_000

PAD_ID, BOS_ID, EOS_ID, UNK_ID = range(4)
_FIXED_PIECES = 4 + 256  # the specials and the bytes

# A vocabulary has to hold the most frequent characters that make up this share of the text, or the
# number below where that is fewer: thousands of different ideographs may fall to bytes.
_REQUIRED_COVERAGE = 0.98
_REQUIRED_AT_MOST = 250

# An unbroken run (no space) is cut for training: the unigram trainer needs quadratic time on one of
# 100,000 characters, and overflows on some.
_LONGEST_RUN = 256

# SentencePiece gives these no piece (tab, NUL) or drops every line that has one (U+2585).
_NEVER_PIECES = "\t\0\u2585"
# What `encode` refuses: a space mark would come back as a space, a lone surrogate is no text.
_NO_IDS = re.compile(f"[{SPACE_MARK}\ud800-\udfff]")
# In training it takes a special's spelling for the special itself; cut inside, it is plain text.
_INSIDE_SPECIAL = r"(?<=<)(?=(?:/?s|unk|pad|0x[0-9A-F]{2})>)"


class Tokenizer:
    """Text to token ids and back: `decode(encode(text)) == text` for any text without U+2581.

    Ids 0 to 3 are pad, bos, eos and unk; `encode` never returns one of them.
    """

    pad_id = PAD_ID
    bos_id = BOS_ID
    eos_id = EOS_ID

    def __init__(self, model_bytes: bytes) -> None:
        """From a serialized SentencePiece model. Raises TpError when it isn't one `tp` can use."""
        self.model_bytes = model_bytes
        self._processor = _processor(model_bytes)
        self.vocab_size: int = self._processor.get_piece_size()
        self.piece_bytes: tuple[bytes, ...] = tuple(_piece_bytes(self._processor))
        """The UTF-8 bytes each id stands for; empty for the specials."""

    @classmethod
    def train(
        cls, lines: Sequence[str], *, model_type: str, vocab_size: int, seed: int
    ) -> Tokenizer:
        """Learn a vocabulary of at most `vocab_size` pieces, the same one for the same arguments.

        Of a large corpus it sees MAX_TRAINING_LINES lines (and MAX_TRAINING_CHARACTERS characters)
        that a hash with `seed` chooses. Raises TpError when `vocab_size` is too small for the text.
        """
        if model_type not in MODEL_TYPES:
            raise TpError(
                f"tokenizer.model_type = {model_type!r} is not one of {', '.join(MODEL_TYPES)}"
            )
        chosen = _choose(lines, seed)
        alphabet = _alphabet(chosen, vocab_size, merges=model_type != "char")
        fragments = _fragments(chosen, alphabet)
        model = io.BytesIO()
        _checked(
            f"training the {model_type} tokenizer failed",
            lambda: sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=fragments,
                model_writer=model,
                model_type=model_type,
                vocab_size=vocab_size,
                hard_vocab_limit=False,
                character_coverage=1.0,  # the alphabet is already chosen
                byte_fallback=True,
                normalization_rule_name="identity",
                add_dummy_prefix=False,
                remove_extra_whitespaces=False,
                max_sentence_length=1 << 30,
                pad_id=PAD_ID,
                bos_id=BOS_ID,
                eos_id=EOS_ID,
                unk_id=UNK_ID,
                num_threads=1,
                minloglevel=2,
            ),
        )
        return cls(model.getvalue())

    @classmethod
    def from_bytes(cls, model_bytes: bytes) -> Tokenizer:
        """The tokenizer that `model_bytes` (an earlier one's attribute) describes."""
        return cls(model_bytes)

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """The tokenizer in a SentencePiece model file."""
        try:
            return cls(path.read_bytes())
        except OSError as error:
            raise TpError(f"{path}: can't read the tokenizer ({error.strerror})") from None
        except TpError as error:
            raise TpError(f"{path}: {error}") from None

    def encode(self, text: str) -> list[int]:
        """Token ids without specials. Raises TpError for text that has no ids."""
        return self.encode_many([text])[0]

    def encode_many(self, lines: Sequence[str]) -> list[list[int]]:
        """`encode` for each line."""
        for line in lines:
            if found := _NO_IDS.search(line):
                raise TpError(f"the character U+{ord(found[0]):04X} can't be tokenised; replace it")
        ids: list[list[int]] = _checked(
            "the text can't be tokenised", lambda: self._processor.encode(list(lines))
        )
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`. Specials are skipped; bytes that form no character give U+FFFD."""
        return b"".join(map(self._bytes_of, ids)).decode("utf-8", "replace")

    def stream_decoder(self) -> StreamDecoder:
        """A decoder that is fed one id at a time."""
        return StreamDecoder(self)

    def _bytes_of(self, token: int) -> bytes:
        if not 0 <= token < self.vocab_size:
            raise TpError(
                f"token id {token} is outside the vocabulary (0 to {self.vocab_size - 1})"
            )
        return self.piece_bytes[token]


class StreamDecoder:
    """Text piece by piece, a character only once all its bytes are there.

    The pieces and the final flush add up to `Tokenizer.decode` of all the ids.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The text that `token` completes, possibly none."""
        return self._decoder.decode(self._tokenizer._bytes_of(token))

    def flush(self) -> str:
        """What is left at the end: U+FFFD for an unfinished character, or nothing."""
        return self._decoder.decode(b"", final=True)


def _processor(model_bytes: bytes) -> sentencepiece.SentencePieceProcessor:
    processor = sentencepiece.SentencePieceProcessor()
    # Empty bytes would be accepted, and fail at the first use.
    _checked(
        "this is not a SentencePiece model",
        lambda: processor.load_from_serialized_proto(model_bytes or b"\0"),
    )
    found = (processor.pad_id(), processor.bos_id(), processor.eos_id(), processor.unk_id())
    if found != (PAD_ID, BOS_ID, EOS_ID, UNK_ID):
        raise TpError(
            f"the tokenizer model has pad, bos, eos, unk = {', '.join(map(str, found))} instead of "
            f"{PAD_ID}, {BOS_ID}, {EOS_ID}, {UNK_ID}; it was not trained by tp"
        )
    return processor


def _piece_bytes(processor: sentencepiece.SentencePieceProcessor) -> Iterator[bytes]:
    for token in range(processor.get_piece_size()):
        piece: str = processor.id_to_piece(token)
        if processor.is_byte(token):
            yield bytes([int(piece[1:-1], 16)])  # spelled <0x41>
        elif processor.is_control(token) or processor.is_unknown(token):
            yield b""
        else:
            yield piece.replace(SPACE_MARK, " ").encode()


def _choose(lines: Sequence[str], seed: int) -> list[str]:
    """The lines to train on, in their order: all of them, or those with the smallest hashes."""
    if len(lines) <= MAX_TRAINING_LINES and sum(map(len, lines)) <= MAX_TRAINING_CHARACTERS:
        return list(lines)
    hashes = phrase_hashes(lines, derive_seed(seed, "tokenizer"))
    ranking = np.argsort(hashes, kind="stable")[:MAX_TRAINING_LINES]
    lengths: NDArray[np.int64] = np.array([len(lines[index]) for index in ranking], np.int64)
    fitting = int((lengths.cumsum() <= MAX_TRAINING_CHARACTERS).sum())
    return [lines[index] for index in np.sort(ranking[: max(fitting, 1)])]


def _alphabet(lines: Iterable[str], vocab_size: int, *, merges: bool) -> frozenset[str]:
    """The characters that get a piece of their own: the most frequent, as many as find room.

    With `merges` (longer pieces are wanted too) they take no more than half of the room, unless
    they need it to make up _REQUIRED_COVERAGE of the text.
    """
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(line)
    for character in _NEVER_PIECES:
        counts.pop(character, None)
    if not counts:
        raise TpError("no text to train a tokenizer on; check data.path")
    ranking = sorted(counts, key=lambda character: (-counts[character], character))
    covered = np.cumsum([counts[character] for character in ranking])
    covering = int((covered < _REQUIRED_COVERAGE * covered[-1]).sum()) + 1
    needed = _FIXED_PIECES + min(covering, _REQUIRED_AT_MOST)
    if vocab_size < needed:
        raise TpError(
            f"tokenizer.vocab_size = {vocab_size} is too small for this text; use at least "
            f"{needed} ({_FIXED_PIECES} special and byte tokens, "
            f"{needed - _FIXED_PIECES} characters)"
        )
    room = vocab_size - _FIXED_PIECES
    return frozenset(ranking[: min(room, max(room // 2, covering)) if merges else room])


def _fragments(lines: Iterable[str], alphabet: frozenset[str]) -> Iterator[str]:
    """The stretches of text that pieces may be found in, cut wherever none may reach across."""
    others = {character for line in lines for character in line} - alphabet
    cut = re.compile(
        f"[{re.escape(''.join(sorted(others | set(_NEVER_PIECES))))}]|{_INSIDE_SPECIAL}"
    )
    too_long = re.compile(f"[^ ]{{{_LONGEST_RUN + 1}}}")
    chopped = re.compile(f" *[^ ]{{1,{_LONGEST_RUN}}}| +")
    for line in lines:
        for fragment in cut.split(line):
            if too_long.search(fragment):
                yield from chopped.findall(fragment)
            elif fragment:
                yield fragment


def _checked(what: str, call: Callable[[], T]) -> T:
    """The result of a SentencePiece call. Its errors name lines of C++: say what failed first."""
    try:
        return call()
    except RuntimeError as error:
        raise TpError(f"{what} (SentencePiece: {error})") from None
