"""Logs survive what happens to processes and disks: kills, torn lines, full disks, resumes."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tp_core.errors import RunFailed, TpError
from tp_core.runs.jsonl import JsonlWriter, parse_object, read_jsonl, truncate

# Quotes, line separators of every kind, control characters, an undecodable byte, an emoji.
TEXT = st.text(st.sampled_from('ab"\\\n\r\t\0\x1c\x7f\x85\u2028é中😀\udc80'), max_size=5)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def write(path: Path, *records: dict[str, object]) -> list[int]:
    offsets = []
    with JsonlWriter(path) as writer:
        for record in records:
            writer.write(record)
            offsets.append(writer.offset)
    return offsets


def test_what_is_written_is_read(path: Path) -> None:
    records: list[dict[str, object]] = [
        {"step": 1, "text": "a\nb\u2028é\x85"},
        {"step": 2, "x": None},
    ]
    offsets = write(path, *records)
    assert read_jsonl(path) == records
    assert offsets[-1] == path.stat().st_size
    assert path.read_bytes().count(b"\n") == 2


@given(records=st.lists(st.dictionaries(TEXT, JSON, max_size=3), max_size=4))
def test_any_record_round_trips(
    records: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "metrics.jsonl"
    write(path, *records)
    assert read_jsonl(path) == records


def test_opening_again_appends(path: Path) -> None:
    first = write(path, {"step": 1})
    with JsonlWriter(path) as writer:
        assert writer.offset == first[-1]
        writer.write({"step": 2})
    assert [row["step"] for row in read_jsonl(path)] == [1, 2]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_json_does_not_have_are_refused_whole(path: Path, bad: float) -> None:
    with JsonlWriter(path) as writer:
        writer.write({"step": 1})
        with pytest.raises(ValueError, match="JSON"):
            writer.write({"step": 2, "perf": {"loss": [bad]}})
        writer.write({"step": 3})
    assert [row["step"] for row in read_jsonl(path)] == [1, 3]


@pytest.mark.parametrize("tail", [b'{"step": 3, "lo', b'{"step": 3}', b"\0\0\0", b"\xff"])
def test_a_torn_last_line_is_left_out_and_then_written_over(path: Path, tail: bytes) -> None:
    write(path, {"step": 1}, {"step": 2})
    with path.open("ab") as file:
        file.write(tail)
    assert [row["step"] for row in read_jsonl(path)] == [1, 2]
    write(path, {"step": 3})
    assert [row["step"] for row in read_jsonl(path)] == [1, 2, 3]


def test_every_cut_of_a_file_is_readable(path: Path) -> None:
    offsets = write(path, *({"step": step, "text": "ü" * step} for step in range(5)))
    content = path.read_bytes()
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        assert len(read_jsonl(path)) == sum(offset <= length for offset in offsets)


@pytest.mark.parametrize("damage", [b"garbage", b"", b"[1]", b'{"loss": NaN}', b"[" * 100_000])
def test_damage_in_the_middle_names_its_line_and_at_the_end_is_passed_over(
    path: Path, damage: bytes
) -> None:
    good = b'{"step": 1}\n'
    path.write_bytes(good * 16 + damage + b"\n" + good)
    with pytest.raises(TpError, match=r"metrics\.jsonl:17: damaged line"):
        read_jsonl(path)
    path.write_bytes(good * 16 + damage + b"\n")
    assert len(read_jsonl(path)) == 16


def test_unreadable_files_are_named(path: Path) -> None:
    with pytest.raises(TpError, match=r"no such file: .*metrics\.jsonl"):
        read_jsonl(path)
    with pytest.raises(TpError, match="cannot read"):
        read_jsonl(path.parent)
    with pytest.raises(RunFailed, match="cannot write"):
        JsonlWriter(path.parent)


def test_truncate_returns_to_a_recorded_offset(path: Path) -> None:
    offsets = write(path, {"step": 1}, {"step": 2}, {"step": 3})
    before = path.read_bytes()
    truncate(path, offsets[1])
    assert [row["step"] for row in read_jsonl(path)] == [1, 2]
    write(path, {"step": 3})
    assert path.read_bytes() == before
    truncate(path, 0)
    assert read_jsonl(path) == []


def test_truncate_refuses_a_file_that_is_not_the_checkpoints(path: Path) -> None:
    truncate(path, 0)
    assert not path.exists()
    with pytest.raises(TpError, match="missing"):
        truncate(path, 12)
    offset = write(path, {"step": 1})[-1]
    for wrong in (offset + 1, offset - 1):
        with pytest.raises(TpError, match=rf"metrics\.jsonl .*{offset} bytes.* byte {wrong};"):
            truncate(path, wrong)
    assert path.stat().st_size == offset


LIMITED = """
import resource, sys
from pathlib import Path
from tp_core.errors import RunFailed
from tp_core.runs.jsonl import JsonlWriter

writer = JsonlWriter(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    while True:
        writer.write({"step": 1, "text": "0123456789"})
except RunFailed as error:
    print(writer.offset, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file size limit")
def test_a_disk_that_fills_up_leaves_whole_lines(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True
    )
    offset, message = done.stdout.split(maxsplit=1)
    assert "cannot write" in message
    assert path.stat().st_size == int(offset) > 0
    assert len(read_jsonl(path)) == path.read_bytes().count(b"\n")


ENDLESS = """
import itertools, sys
from pathlib import Path
from tp_core.runs.jsonl import JsonlWriter

writer = JsonlWriter(Path(sys.argv[1]))
for step in itertools.count():
    writer.write({"step": step, "text": "x" * 1000})
"""


def test_a_killed_writer_leaves_everything_it_wrote(path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)])
    try:
        while not (path.exists() and path.stat().st_size > 50_000):
            assert process.poll() is None
            time.sleep(0.005)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    steps = [row["step"] for row in read_jsonl(path)]
    assert len(steps) > 40
    assert steps == list(range(len(steps)))


def test_flush_to_disk_and_close_twice(path: Path) -> None:
    writer = JsonlWriter(path)
    writer.write({"step": 1})
    assert len(read_jsonl(path)) == 1  # nothing waits in the process
    writer.flush_to_disk()
    writer.close()
    writer.close()


@pytest.mark.parametrize("text", [b"", b"1", b"{", b'{"a": Infinity}', b"\xff{}", b"null"])
def test_parse_object_takes_objects_only(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_object(text)
    assert parse_object(json.dumps({"a": [1]}).encode()) == {"a": [1]}
