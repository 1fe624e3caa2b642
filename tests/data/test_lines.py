"""Reading phrase files, and splitting them."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tp_core.data.lines import Lines, parse_lines, read_lines
from tp_core.data.splits import Split, split_lines
from tp_core.errors import TpError
from tp_core.rng import phrase_hashes


def read(tmp_path: Path, content: bytes) -> Lines:
    file = tmp_path / "phrases.txt"
    file.write_bytes(content)
    return read_lines(file)


def error(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(TpError) as refused:
        read(tmp_path, content)
    return str(refused.value).removeprefix(f"{tmp_path}{os.sep}")


def split(
    lines: list[str], val: float = 0.2, test: float = 0.1, seed: int = 0
) -> dict[str, set[str]]:
    parts = split_lines(lines, val_fraction=val, test_fraction=test, split_seed=seed)
    return {
        name: {lines[index] for index in getattr(parts, name)} for name in ("train", "val", "test")
    }


def phrases(n: int) -> list[str]:
    return [f"phrase number {i}" for i in range(n)]


def test_reading(tmp_path: Path) -> None:
    content = b"one\n\n  two  \n \t\nthree"
    found = read(tmp_path, content)
    assert found.lines == ("one", "  two  ", "three")
    assert found.numbers.tolist() == [1, 3, 5]
    assert found.numbers.dtype == np.int64
    assert found.blank == 2
    assert found.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("content", [b"one\ntwo\n", b"one\ntwo", b"one\r\ntwo\r\n"])
def test_line_ends(tmp_path: Path, content: bytes) -> None:
    found = read(tmp_path, content)
    assert found.lines == ("one", "two")
    assert found.blank == 0


def test_a_byte_order_mark_goes_only_at_the_start(tmp_path: Path) -> None:
    found = read(tmp_path, b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n")
    assert found.lines == ("one", "\ufefftwo")


def test_only_a_newline_ends_a_line(tmp_path: Path) -> None:
    line = "a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g\rh"
    assert read(tmp_path, f"{line}\nx\n".encode()).lines == (line, "x")


def test_windows_blank_lines(tmp_path: Path) -> None:
    found = read(tmp_path, b"one\r\n\r\ntwo\r\n")
    assert found.lines == ("one", "two")
    assert found.blank == 1


@settings(deadline=None)
@given(
    lines=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\u2581")))
)
def test_nothing_is_lost(lines: list[str]) -> None:
    wanted = [line.removesuffix("\r") for line in lines if line.strip()]
    if wanted and not lines[0].startswith("\ufeff"):
        found = parse_lines(Path("p.txt"), "\n".join(lines).encode())
        assert list(found.lines) == wanted
        assert [lines[number - 1].removesuffix("\r") for number in found.numbers] == wanted


def test_a_bad_byte_names_its_line(tmp_path: Path) -> None:
    assert error(tmp_path, b"one\ntwo\nthr\xffee\n").startswith(
        "phrases.txt:3: byte 0xff is not valid UTF-8; save the file as UTF-8"
    )
    assert error(tmp_path, b"\xef\xbb\xbf\xe2\x82\n").startswith("phrases.txt:1: byte 0xe2")
    assert "looks like UTF-16" in error(tmp_path, "one\n".encode("utf-16"))
    # A surrogate half written as three bytes is not UTF-8 either.
    assert error(tmp_path, b"one\n\xed\xa0\x80\n").startswith("phrases.txt:2: byte 0xed")


def test_the_space_mark_names_its_line(tmp_path: Path) -> None:
    message = error(tmp_path, "one\n\ntwo \u2581 three\n".encode())
    assert message.startswith("phrases.txt:3: the character U+2581")


@pytest.mark.parametrize(("content", "what"), [(b"", "empty"), (b"\xef\xbb\xbf", "empty")])
def test_empty_files(tmp_path: Path, content: bytes, what: str) -> None:
    assert error(tmp_path, content).startswith(f"phrases.txt: is {what}; write one phrase")


def test_blank_files(tmp_path: Path) -> None:
    assert error(tmp_path, b"\n \n\t\r\n").startswith("phrases.txt: is only blank lines; write one")


def test_no_file_to_read(tmp_path: Path) -> None:
    with pytest.raises(TpError, match=r"absent\.txt: no such file; set data\.path"):
        read_lines(tmp_path / "absent.txt")
    with pytest.raises(TpError, match=r"is a directory; data\.path must be a text file"):
        read_lines(tmp_path)
    with pytest.raises(TpError, match=r"cannot be read \(.*\); check data\.path"):
        read_lines(tmp_path / ("x" * 5000))
    with pytest.raises(TpError, match=r"cannot be read"):
        read_lines(Path("nul\0inside"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    with pytest.raises(TpError, match="is not a regular file"):
        read_lines(tmp_path / "pipe")


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "phrases.txt").write_text("one\n")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(TpError, match=r"cannot be read \(Permission denied\); check data\.path"):
        read_lines(tmp_path / "phrases.txt")


def test_the_split_is_a_partition() -> None:
    lines = phrases(5000)
    parts = split_lines(lines, val_fraction=0.2, test_fraction=0.1, split_seed=0)
    together = np.concatenate([parts.train, parts.val, parts.test])
    assert np.array_equal(np.sort(together), np.arange(5000))
    assert {part.dtype for part in (parts.train, parts.val, parts.test)} == {np.dtype(np.int64)}
    assert all((np.diff(part) > 0).all() for part in (parts.train, parts.val, parts.test))
    # Four standard deviations of a binomial.
    assert abs(len(parts.val) - 1000) < 113
    assert abs(len(parts.test) - 500) < 85


def test_the_split_is_stable_when_the_file_grows() -> None:
    before = split(phrases(300))
    after = split([*(f"new {i}" for i in range(500)), *reversed(phrases(300))])
    for name, part in before.items():
        assert part <= after[name]


def test_duplicates_stay_together() -> None:
    lines = [line for line in phrases(200) for _ in range(3)]
    parts = split_lines(lines, val_fraction=0.3, test_fraction=0.3, split_seed=0)
    for part in (parts.train, parts.val, parts.test):
        assert set(Counter(lines[index] for index in part).values()) == {3}


def test_the_seed_and_the_fractions_decide() -> None:
    lines = phrases(300)
    assert split(lines) == split(lines)
    assert split(lines, seed=1) != split(lines)
    assert split(lines)["val"] < split(lines, val=0.3)["val"]
    assert split(lines, test=0.0)["test"] == set()


def test_the_split_does_not_drift() -> None:
    # These phrases went to these parts when the first runs were made.
    places = phrase_hashes(["one", "zwei", "漢"], 12345)
    assert list(map(hex, places.tolist())) == [
        "0x6df4dac29bfd1c50",
        "0xaa3332989f383000",
        "0x646cfa376817cab8",
    ]
    assert phrase_hashes([b"one", b"zwei", "漢".encode()], 12345).tolist() == places.tolist()
    parts = split_lines(phrases(60), val_fraction=0.1, test_fraction=0.1, split_seed=3)
    assert parts.val.tolist() == [2, 8, 30, 52, 59]


def test_too_few_phrases_to_split() -> None:
    with pytest.raises(TpError) as refused:
        split(["only one"] * 4)
    assert str(refused.value).startswith("4 phrases (1 distinct) leave the ")
    assert "data.val_fraction = 0.2, data.test_fraction = 0.1" in str(refused.value)
    assert "add phrases or change the fractions" in str(refused.value)
    with pytest.raises(TpError, match="leave the val split empty"):
        split(phrases(50), val=1e-9, test=0.5)
    with pytest.raises(TpError, match="leave the test split empty"):
        split(phrases(50), val=0.5, test=1e-9)
    with pytest.raises(TpError, match="leave the train split empty"):
        split(phrases(50), val=0.5, test=0.5)
    assert isinstance(
        split_lines(phrases(50), val_fraction=0.5, test_fraction=0.0, split_seed=0), Split
    )
