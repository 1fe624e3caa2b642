"""A file as one continuous text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_dataset import LINES, assert_same, forbid_building, ids, splits

from tp_core.data import text as module
from tp_core.data.dataset import Dataset, load_dataset
from tp_core.errors import TpError
from tp_core.evaluation.char_ngram import CharNgram

TEXT = "\n" + "\n\n".join(LINES) + "\n\n\tdone"
SETTINGS: dict[str, Any] = {
    "val_fraction": 0.2,
    "test_fraction": 0.1,
    "split_seed": 0,
    "overlong": "error",
    "model_type": "bpe",
    "vocab_size": 320,
    "max_seq_len": 16,
    "layout": "text",
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "book.txt"
    file.write_bytes(TEXT.encode())
    return file


def load(path: Path, **changes: Any) -> Dataset:
    return load_dataset(path=path, **{**SETTINGS, **changes})


def whole(dataset: Dataset, name: str) -> str:
    return splits(dataset)[name].utf8.tobytes().decode()


def test_the_parts_follow_each_other(path: Path) -> None:
    dataset = load(path)
    parts = [whole(dataset, name) for name in ("train", "val", "test")]
    assert "".join(parts) == TEXT
    shares = [len(part) / len(TEXT) for part in parts]
    assert np.allclose(shares, [0.7, 0.2, 0.1], atol=1e-3)


def test_without_a_test_part_the_cut_is_where_others_make_it(path: Path) -> None:
    """Training on the first int(0.9 n) characters: what published figures of such files do."""
    dataset = load(path, val_fraction=0.1, test_fraction=0.0)
    cut = int(0.9 * len(TEXT))
    assert (whole(dataset, "train"), whole(dataset, "val")) == (TEXT[:cut], TEXT[cut:])
    assert len(dataset.test) == 0
    assert dataset.counts.used["test"] == 0


@pytest.mark.parametrize("max_seq_len", [2, 7, 16, 10_000])
def test_pieces_are_the_text_cut_every_so_many_tokens(path: Path, max_seq_len: int) -> None:
    dataset = load(path, max_seq_len=max_seq_len)
    sizes = dataset.tokenizer.piece_bytes
    start = 0
    for name, split in splits(dataset).items():
        text = whole(dataset, name)
        tokens = dataset.tokenizer.encode(text)
        assert split.tokens.tolist() == tokens
        cut = [tokens[i : i + max_seq_len] for i in range(0, len(tokens), max_seq_len)]
        assert [ids(split, i) for i in range(len(split))] == cut
        assert split.lengths.tolist() == list(map(len, cut))
        assert not split.has_eos.any()
        texts = [b"".join(sizes[token] for token in chunk) for chunk in cut]
        assert [split.text_bytes(i) for i in range(len(split))] == texts
        assert split.bytes_.tolist() == list(map(len, texts))
        assert split.bytes_.sum() == len(text.encode())
        before = TEXT[:start].encode()
        for i, number in enumerate(split.numbers.tolist()):
            assert number == 1 + (before + b"".join(texts[:i])).count(b"\n")
        start += len(text)


def test_counts(path: Path) -> None:
    dataset = load(path)
    used = {name: len(split) for name, split in splits(dataset).items()}
    assert dataset.counts.used == used
    assert dataset.counts.lines == sum(used.values())
    assert (dataset.counts.blank, dataset.counts.duplicates) == (0, 0)
    assert dataset.counts.overlong == {"train": 0, "val": 0, "test": 0}


def test_newlines_are_tokens(path: Path) -> None:
    dataset = load(path)
    (newline,) = dataset.tokenizer.encode("\n")
    found = sum(int((split.tokens == newline).sum()) for split in splits(dataset).values())
    assert found == TEXT.count("\n")


def test_windows_line_ends_and_a_byte_order_mark(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "windows.txt"
    other.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    one, two = load(path), load(other)
    assert one.tokenizer.model_bytes == two.tokenizer.model_bytes
    for name, split in splits(one).items():
        assert np.array_equal(split.tokens, splits(two)[name].tokens)


def test_the_tokenizer_sees_the_training_part_alone(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    cut = len(whole(load(path), "train"))
    other.write_bytes((TEXT[:cut] + "z" * (len(TEXT) - cut)).encode())
    assert load(other).tokenizer.model_bytes == load(path).tokenizer.model_bytes


def test_seams_of_what_is_tokenised_at_a_time(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = load(path)
    monkeypatch.setattr(module, "_LINES_AT_ONCE", 3)
    monkeypatch.setenv("TP_CACHE_DIR", str(tmp_path / "other"))
    assert_same(load(path), one)


def test_cached_apart_from_the_phrases_of_the_same_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, short = load(path), load(path, max_seq_len=5)
    lines = load(path, layout="lines", max_seq_len=200)
    assert lines.train.has_eos.all()
    forbid_building(monkeypatch)
    monkeypatch.setattr("tp_core.data.dataset.parse_text", None)
    assert_same(load(path), text)
    assert_same(load(path, max_seq_len=5), short)
    assert_same(load(path, layout="packed", max_seq_len=200), lines)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; add text to it"),
        (b"\n \n", "is blank; add text to it"),
        (b"abc\n\xff", ":2: byte 0xff is not valid UTF-8"),
        ("abc\n\n▁".encode(), ":3: the character U\\+2581"),
        (b"ab", "2 characters leave the val split empty"),
    ],
)
def test_refusals(path: Path, content: bytes, said: str) -> None:
    path.write_bytes(content)
    with pytest.raises(TpError, match=said) as refused:
        load(path, val_fraction=0.1)
    assert str(refused.value).count(str(path)) == 1


def test_baselines_of_a_text_count_no_ends() -> None:
    model = CharNgram(2).fit(["abab abba"])
    bits = model.bits(["abba", "b"])
    assert model.bits_per_byte(["abba", "b"]) == pytest.approx(bits.sum() / 7)
    assert model.bits_per_byte(["abba", "b"], has_eos=False) == pytest.approx(
        (bits[:4].sum() + bits[5]) / 5
    )
