"""The dataset: tokenised splits, phrases that are too long, the cache."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece

from tp_core.data import dataset as module
from tp_core.data.dataset import Dataset, TokenizedSplit, load_dataset
from tp_core.data.lines import parse_lines, read_lines
from tp_core.data.splits import split_lines
from tp_core.data.tokenizer import Tokenizer
from tp_core.errors import TpError

LINES = [
    *(
        f"phrase {i} says" + f" {word}" * (i % 3 + 1)
        for i in range(150)
        for word in ("hello", "漢字 😀", "nothing")
    ),
    *["a phrase that comes again"] * 5,
    "one that goes on and on and on and on and on and on and on and on and on and on and on 漢 on",
]
SETTINGS: dict[str, Any] = {
    "val_fraction": 0.2,
    "test_fraction": 0.1,
    "split_seed": 0,
    "overlong": "error",
    "model_type": "bpe",
    "vocab_size": 320,
    "max_seq_len": 200,
}
NAMES = ("train", "val", "test")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TP_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "phrases.txt"
    file.write_text("\n\n".join(LINES), encoding="utf-8")
    return file


def load(path: Path, **changes: Any) -> Dataset:
    return load_dataset(path=path, **{**SETTINGS, **changes})


def splits(dataset: Dataset) -> dict[str, TokenizedSplit]:
    return {name: getattr(dataset, name) for name in NAMES}


def ids(split: TokenizedSplit, index: int) -> list[int]:
    row: list[int] = split.tokens[split.offsets[index] : split.offsets[index + 1]].tolist()
    return row


def assert_same(one: Dataset, other: Dataset) -> None:
    assert one.tokenizer.model_bytes == other.tokenizer.model_bytes
    assert (one.sha256, one.counts) == (other.sha256, other.counts)
    for name in NAMES:
        for column in ("tokens", "offsets", "has_eos", "bytes_", "numbers", "utf8"):
            left, right = getattr(splits(one)[name], column), getattr(splits(other)[name], column)
            assert left.dtype == right.dtype
            assert np.array_equal(left, right)


def forbid_building(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **keywords: object) -> None:
        raise AssertionError("built although it is cached")

    for name in ("train", "encode", "encode_many"):
        monkeypatch.setattr(Tokenizer, name, fail)
    for name in ("parse_lines", "split_lines"):
        monkeypatch.setattr(module, name, fail)


def count_building(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    built: list[str] = []

    def counted(path: Path, data: bytes) -> Any:
        built.append(path.name)
        return parse_lines(path, data)

    monkeypatch.setattr(module, "parse_lines", counted)
    return built


def test_every_line_is_there_as_tokens_and_as_text(path: Path) -> None:
    dataset = load(path)
    found = read_lines(path)
    parts = split_lines(found.lines, val_fraction=0.2, test_fraction=0.1, split_seed=0)
    for name, split in splits(dataset).items():
        indices = getattr(parts, name)
        texts = [found.lines[index] for index in indices]
        assert split.texts() == texts
        assert [split.text(i) for i in range(len(split))] == texts
        assert [ids(split, i) for i in range(len(split))] == dataset.tokenizer.encode_many(texts)
        assert split.bytes_.tolist() == [len(text.encode()) + 1 for text in texts]
        assert split.has_eos.all()
        assert split.lengths.tolist() == [len(ids(split, i)) + 1 for i in range(len(split))]
        assert split.numbers.tolist() == found.numbers[indices].tolist()
    assert dataset.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_dtypes(path: Path) -> None:
    split = load(path).train
    kinds = {column: getattr(split, column).dtype.name for column in split.__dataclass_fields__}
    assert kinds == {
        "tokens": "uint16",
        "offsets": "int64",
        "has_eos": "bool",
        "bytes_": "int64",
        "numbers": "int64",
        "utf8": "uint8",
    }


def test_large_vocabularies_take_wider_ids(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = load(path).tokenizer
    for vocab_size, name in ((65536, "uint16"), (65537, "uint32")):
        tokenizer.vocab_size = vocab_size
        monkeypatch.setenv("TP_CACHE_DIR", str(path.parent / name))
        assert load(path, tokenizer=tokenizer).train.tokens.dtype.name == name


def test_counts(path: Path) -> None:
    dataset = load(path)
    assert dataset.counts.lines == 456
    assert dataset.counts.blank == 455
    assert dataset.counts.duplicates == 4
    assert dataset.counts.used == {name: len(split) for name, split in splits(dataset).items()}
    assert sum(dataset.counts.used.values()) == 456
    assert dataset.counts.overlong == {"train": 0, "val": 0, "test": 0}
    assert asdict(dataset.counts)["used"] == dataset.counts.used  # plain data, fit for JSON


def test_the_tokenizer_sees_the_training_split_alone(path: Path) -> None:
    dataset = load(path)
    again = Tokenizer.train(dataset.train.texts(), model_type="bpe", vocab_size=320, seed=0)
    assert dataset.tokenizer.model_bytes == again.model_bytes


def test_too_long_is_an_error(path: Path) -> None:
    longest = max(int(split.lengths.max()) for split in splits(load(path)).values())
    assert load(path, max_seq_len=longest).counts.overlong == {"train": 0, "val": 0, "test": 0}
    with pytest.raises(TpError) as refused:
        load(path, max_seq_len=longest - 1)
    assert str(refused.value) == (
        f"{path}:911: too long for model.max_seq_len = {longest - 1} (the first of 1 such phrases, "
        f"out of 456); set that to {longest} to fit all of them, or data.overlong to "
        '"truncate" or "drop"'
    )
    with pytest.raises(TpError, match=r":1: .* \(the first of 456 such phrases, out of 456\)"):
        load(path, max_seq_len=2)


@pytest.mark.parametrize("max_seq_len", [2, 7, 12, 30])
def test_truncating_teaches_no_false_end(path: Path, max_seq_len: int) -> None:
    whole, cut = load(path), load(path, overlong="truncate", max_seq_len=max_seq_len)
    assert cut.counts.used == whole.counts.used
    pieces = cut.tokenizer.piece_bytes
    for name in NAMES:
        before, after = splits(whole)[name], splits(cut)[name]
        over = before.lengths > max_seq_len
        assert cut.counts.overlong[name] == over.sum()
        assert (after.lengths <= max_seq_len).all()
        assert (after.lengths[over] == max_seq_len).all()
        assert after.has_eos.tolist() == (~over).tolist()
        assert after.numbers.tolist() == before.numbers.tolist()
        for i in range(len(before)):
            if over[i]:
                kept = ids(before, i)[:max_seq_len]
                text = b"".join(pieces[token] for token in kept)
                assert ids(after, i) == kept
                assert after.bytes_[i] == len(text)
                assert after.text_bytes(i) == text
                assert after.text(i) == cut.tokenizer.decode(kept)
            else:
                assert ids(after, i) == ids(before, i)
                assert after.bytes_[i] == before.bytes_[i]
                assert after.text(i) == before.text(i)


def test_one_more_token_than_fits_with_its_end_stays_whole_but_endless(path: Path) -> None:
    whole = load(path)
    length = int(whole.train.lengths[0])
    cut = load(path, overlong="truncate", max_seq_len=length - 1)
    assert ids(cut.train, 0) == ids(whole.train, 0)
    assert not cut.train.has_eos[0]
    assert cut.train.bytes_[0] == whole.train.bytes_[0] - 1


def test_dropping(path: Path) -> None:
    whole, cut = load(path), load(path, overlong="drop", max_seq_len=9)
    for name in NAMES:
        before, after = splits(whole)[name], splits(cut)[name]
        kept = np.flatnonzero(before.lengths <= 9).tolist()
        assert 0 < len(kept) < len(before)
        assert cut.counts.used[name] == len(after) == len(kept)
        assert cut.counts.overlong[name] == len(before) - len(kept)
        assert after.texts() == [before.text(i) for i in kept]
        assert [ids(after, i) for i in range(len(after))] == [ids(before, i) for i in kept]
        assert after.numbers.tolist() == before.numbers[kept].tolist()
        assert after.has_eos.all()
    with pytest.raises(
        TpError, match=r"leaves the train split empty: .* longer than model\.max_seq_len = 2"
    ):
        load(path, overlong="drop", max_seq_len=2)


def test_a_cached_load_builds_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(path)
    cut = load(path, overlong="truncate", max_seq_len=8)
    forbid_building(monkeypatch)
    assert_same(load(path), first)
    assert_same(load(path, overlong="truncate", max_seq_len=8), cut)


def test_a_given_tokenizer_is_used_and_cached(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Tokenizer.train(LINES[:50], model_type="char", vocab_size=300, seed=0)
    first = load(path, tokenizer=given)
    assert first.tokenizer.model_bytes == given.model_bytes
    assert first.train.texts() == load(path).train.texts()
    assert ids(first.train, 0) == given.encode(first.train.text(0))
    forbid_building(monkeypatch)
    # It, and not these settings, says what the ids are.
    again = load(path, tokenizer=given, model_type="unigram", vocab_size=999)
    assert_same(again, first)


@pytest.mark.parametrize(
    "change",
    [
        {"val_fraction": 0.25},
        {"test_fraction": 0.15},
        {"split_seed": 1},
        {"model_type": "char"},
        {"vocab_size": 310},
    ],
)
def test_each_setting_is_part_of_the_cache_key(
    path: Path, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built = count_building(monkeypatch)
    load(path)
    changed = load(path, **change)
    assert len(built) == 2
    monkeypatch.setenv("TP_CACHE_DIR", str(tmp_path / "other"))
    assert_same(load(path, **change), changed)


def test_content_and_versions_are_part_of_the_cache_key(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = count_building(monkeypatch)
    first = load(path)
    copy = path.with_name("copy.txt")
    shutil.copy(path, copy)
    assert_same(load(copy), first)
    assert built == ["phrases.txt"]
    with path.open("a") as file:
        file.write("\none more")
    assert load(path).counts.lines == 457
    assert len(built) == 2
    monkeypatch.setattr(sentencepiece, "__version__", "0.0")
    load(path)
    assert len(built) == 3
    monkeypatch.setattr(module, "_FORMAT", -1)
    load(path)
    assert len(built) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: b"not a cache",
        lambda whole: whole[:-1],
        lambda whole: whole[:100],
        lambda whole: whole[:500] + bytes([whole[500] ^ 1]) + whole[501:],
        lambda whole: bytes([whole[0] ^ 1]) + whole[1:],
    ],
)
def test_a_damaged_entry_is_built_anew(
    path: Path, cache: Path, damage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(path)
    (entry,) = cache.rglob("*.bin")
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    built = count_building(monkeypatch)
    assert_same(load(path), first)
    assert built
    assert entry.read_bytes()[:32] == hashlib.sha256(entry.read_bytes()[32:]).digest()
    built.clear()
    assert_same(load(path), first)
    assert not built


def test_the_cache_holds_no_pickle_and_no_leftovers(path: Path, cache: Path) -> None:
    load(path)
    (entry,) = [file for file in cache.rglob("*") if file.is_file()]
    with np.load(io.BytesIO(entry.read_bytes()[32:]), allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays.files)


def test_a_cache_that_cannot_be_written_is_no_error(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(path)
    blocked = tmp_path / "a file"
    blocked.write_text("in the way")
    monkeypatch.setenv("TP_CACHE_DIR", str(blocked))
    assert_same(load(path), first)


def test_a_failed_write_leaves_nothing_behind(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    load(path)
    assert [file for file in cache.rglob("*") if file.is_file()] == []


def test_where_the_cache_is(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TP_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    load(path)
    assert list((tmp_path / "xdg" / "transformer-playground").rglob("*.bin"))
    # The specification of that variable says that relative paths are to be ignored.
    for unset in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        load(path)
        home = tmp_path / "home" / ".cache" / "transformer-playground"
        assert list(home.rglob("*.bin"))
        shutil.rmtree(home)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    first = load(path)
    assert_same(load(path), first)
    assert not (tmp_path / "home" / ".cache" / "transformer-playground").exists()


def test_errors_of_the_file_and_the_split_come_through(path: Path, tmp_path: Path) -> None:
    with pytest.raises(TpError, match="no such file"):
        load(tmp_path / "absent.txt")
    with pytest.raises(TpError, match=r"tokenizer\.vocab_size = 100 is too small"):
        load(path, vocab_size=100)
    path.write_bytes(b"fine\n\xff\n")
    with pytest.raises(TpError, match=r":2: byte 0xff"):
        load(path)
    path.write_text("one\ntwo\n")
    with pytest.raises(TpError, match=r"2 phrases leave the"):
        load(path)


def test_a_tokenizer_that_loses_text_is_refused(path: Path) -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_writer=model,
        vocab_size=60,
        hard_vocab_limit=False,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        minloglevel=2,
    )
    with pytest.raises(
        TpError, match=r"phrases\.txt:\d+: this tokenizer can't represent the phrase exactly"
    ):
        load(path, tokenizer=Tokenizer.from_bytes(model.getvalue()))


def test_the_real_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path(__file__).parents[2] / ".." / "shared" / "data" / "tinyshakespeare.txt"
    if not file.exists():
        pytest.skip(f"no {file.name}")
    dataset = load(file, vocab_size=512, max_seq_len=64)
    assert dataset.counts.blank == 7223
    assert sum(dataset.counts.used.values()) == dataset.counts.lines == 32777
    text = file.read_text(encoding="utf-8").split("\n")
    for split in splits(dataset).values():
        assert split.texts() == [text[number - 1] for number in split.numbers]
    forbid_building(monkeypatch)
    assert_same(load(file, vocab_size=512, max_seq_len=64), dataset)


def test_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are tokenised in chunks; the seams must not show."""
    file = tmp_path / "phrases.txt"
    file.write_text("\n".join(LINES), encoding="utf-8")
    whole = load(file)
    monkeypatch.setattr(module, "_LINES_AT_ONCE", 7)
    monkeypatch.setenv("TP_CACHE_DIR", str(tmp_path / f"other{os.sep}"))
    assert_same(load(file), whole)
