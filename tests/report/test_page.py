"""The page: whole in itself, and whatever text it shows, shown as text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from typing import Any

import pytest

from tp_core.cli.terminal import clean
from tp_core.report.page import curve_svg, render_page
from tp_core.report.tables import number, tables

EVIL = "<script>alert('x')</script> & \x1b[2J \u202e \x9b \" {{ 7 * 7 }}"
BASELINES = {"character_5gram": {"val_bits_per_byte": 2.3}}
CURVE = [{"step": 10 * i, "train": 5 - i, "val": 5 - 0.9 * i} for i in range(4)]


def document(**changes: Any) -> dict[str, Any]:
    interval = {"rate": {"low": 0.81234, "high": 1.0, "method": "subsampling"}}
    reading = {"n": 3, "result": {"rate": 0.9, "of": {"x": [1, 2.5]}}, "intervals": interval}
    nested = {"bits": 2.2, "bins": [{"from": 0, "to": 1}], "n": 12345, "ok": True, "none": None}
    return {
        "run": "mine",
        "checkpoint": "last",
        "step": 20,
        "max_steps": 30,
        "parameters": 12345,
        "created": "2026-01-01T00:00:00+00:00",
        "data": {"path": "/some/where.txt", "phrases": {"train": 1000, "val": 100}},
        "verdict": {"label": "generalises", "text": "generalises: so", "reasons": ["one", "two"]},
        "scores": {"val": {"lines": 100, "loss": 3.0, "bits_per_byte": 2.2}},
        "baselines": BASELINES,
        "metrics": {
            "unique": {
                "summary": "how unique",
                "headline": [{"key": "rate", "unit": "share", "better": "higher"}],
                "readings": {"samples": reading, "held_out": reading, "training": reading},
            },
            "likelihood": {
                "summary": "how likely",
                "headline": [{"key": "bits", "unit": "bit/byte", "better": "neither"}],
                "readings": {"model": {"n": 0, "result": nested, "intervals": {}}},
            },
        },
        "remarks": ["few phrases"],
        "sampling": {"prompt": "", "max_new_tokens": 5, "seed": 1, "samplers": []},
        "samples": [{"text": "hello", "stopped": "end", "mark": "new"}],
        "curve": CURVE,
        **changes,
    }


class Page(HTMLParser):
    """Tags, attributes and text of a page; closing tags must match."""

    VOID = ("meta", "br", "path", "use", "rect")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_it_needs_nothing_else() -> None:
    text = render_page(document(), clean)
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(page.tags)
    places = [v for name, v in page.attributes if name in ("src", "href", "xlink:href", "action")]
    assert all(place.startswith("#") for place in places)
    assert "@import" not in text
    assert re.findall(r"url\((?!#)", text) == []
    # The only addresses are the names of SVG's own namespaces.
    assert set(re.findall(r"https?://[^/\"]+", text)) <= {"http://www.w3.org"}
    assert "prefers-color-scheme: dark" in text


def test_what_it_shows() -> None:
    text = Page(render_page(document(), clean)).text
    for words in (
        "mine, checkpoint last",
        "generalises: so",
        "12,345",
        "0.9 [0.812, 1]",
        "held-out (3)",
        "few phrases",
        "hello",
        "bins.0.from",
        "1, 2.5",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    "changes",
    [
        {"samples": [{"text": EVIL, "stopped": "length", "mark": "train"}]},
        {"run": EVIL},
        {"data": {"path": EVIL, "phrases": {"train": 1, "val": 1}}},
        {"verdict": {"label": EVIL, "text": EVIL, "reasons": [EVIL]}},
        {"sampling": {"prompt": EVIL, "max_new_tokens": 1, "seed": 1, "samplers": []}},
    ],
)
def test_text_is_only_text(changes: dict[str, Any]) -> None:
    html = render_page(document(**changes), clean)
    page = Page(html)
    assert "script" not in page.tags
    assert "<script>alert('x')</script> & \\x1b[2J \\u202e \\x9b" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", html) is None


def test_values_of_metrics_are_text_too() -> None:
    report = document()
    report["metrics"]["likelihood"]["readings"]["model"]["result"]["words"] = ["<b>", EVIL]
    page = Page(render_page(report, clean))
    assert "b" not in page.tags
    assert "script" not in page.tags
    assert "\\x1b[2J" in page.text


def test_without_a_curve() -> None:
    page = Page(render_page(document(curve=[]), clean))
    assert "svg" not in page.tags


def test_the_drawing() -> None:
    drawing = curve_svg(document(step=20))
    root = ElementTree.fromstring(drawing)
    assert root.tag.endswith("svg")
    assert drawing == curve_svg(document(step=20))
    assert "currentColor" in drawing
    assert "#010203" not in drawing
    words = " ".join(text for text in root.itertext())
    for label in ("training", "validation", "step 20", "bits per byte", "character 5gram"):
        assert label in words
    assert "step 15" not in curve_svg(document(step=15))  # no evaluation there


def test_one_evaluation_is_a_drawing() -> None:
    ElementTree.fromstring(curve_svg(document(curve=CURVE[:1], baselines={}, step=0)))


def test_numbers() -> None:
    found = [number(value) for value in (None, 0.123456, 12345, True, "x", 1e-15, 3.0)]
    assert found == ["-", "0.1235", "12,345", "True", "x", "1e-15", "3"]


def test_tables_without_metrics() -> None:
    assert [table.columns[0] for table in tables(document(metrics={}))] == ["likelihood"]
