"""What goes to stdout, and in which form."""

from __future__ import annotations

import json

import pytest

from tp_core.cli.terminal import clean, emit, emit_json, emit_table, note, one_line


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain π 👩‍🚀 \n\t", "plain π 👩‍🚀 \n\t"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("over\rwritten\x08", r"over\rwritten\x08"),
        ("\x7f\x9b31m", r"\x7f\x9b31m"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_one_line_keeps_the_spaces_within() -> None:
    assert one_line("a  b") == "a  b"
    assert one_line("a \n\n   b\tc\x1d") == r"a b c\x1d"


def test_a_piped_table_has_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    long = "word " * 100 + "end"
    emit_table(("name", "number", "text"), [("a", "10", long), ("bcdef", "", "x\ny")], sections="s")
    assert capsys.readouterr().out == (
        f"name   number  text\na      10      {long}\nbcdef  -       x y\n"
    )


def test_an_empty_table_is_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    emit_table(("name", "text"), [])
    assert capsys.readouterr().out == "name  text\n"


def test_json_is_strict_and_versioned(capsys: pytest.CaptureFixture[str]) -> None:
    emit_json({"text": "π\x1b"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"schema_version": 1, "text": "π\x1b"}
    assert "\x1b" not in out
    with pytest.raises(ValueError, match="JSON"):
        emit_json({"number": float("nan")})


def test_data_and_remarks_go_apart(capsys: pytest.CaptureFixture[str]) -> None:
    emit("data\x1b")
    note("remark\x1b")
    assert capsys.readouterr() == ("data\\x1b\n", "remark\\x1b\n")
