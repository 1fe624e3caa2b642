"""The tables of a report, for both the terminal and the HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tp_core.plain_data import at

Document = Mapping[str, Any]

READINGS = {"samples": "samples", "held_out": "held-out", "training": "training"}
"""The readings of a sample metric, and their column heads."""


@dataclass(frozen=True)
class Table:
    """Rows of text under `columns`; those in `right` hold numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[str, ...]


def tables(document: Document) -> list[Table]:
    """The tables that aren't empty."""
    every = [_likelihood(document), _of_model(document), _of_samples(document)]
    return [table for table in every if table.rows]


def number(value: Any) -> str:
    """Four significant digits; integers in full; `-` for None."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _likelihood(document: Document) -> Table:
    rows = [
        (f"model, {name} phrases", number(one["lines"]), number(one["bits_per_byte"]))
        for name, one in document["scores"].items()
    ]
    lines = document["scores"].get("val", {}).get("lines")
    rows += [
        (name.replace("_", " "), number(lines), number(one["val_bits_per_byte"]))
        for name, one in document["baselines"].items()
    ]
    columns = ("likelihood", "lines", "bits/byte")
    return Table("Likelihood of phrases", columns, tuple(rows), columns[1:])


def _of_model(document: Document) -> Table:
    rows = [
        (
            name,
            number(at(metric["readings"]["model"]["result"], headline["key"])),
            unit(headline),
        )
        for name, headline, metric in _headlines(document)
        if "model" in metric["readings"]
    ]
    columns = ("model metric", "value", "unit")
    return Table("Model metrics", columns, tuple(rows), ("value",))


def _of_samples(document: Document) -> Table:
    rows = []
    counts: dict[str, int] = {}
    for name, headline, metric in _headlines(document):
        readings = metric["readings"]
        if "model" in readings:
            continue
        counts = {reading: readings[reading]["n"] for reading in READINGS}
        cells = [_cell(readings[reading], headline["key"]) for reading in READINGS]
        rows.append((name, *cells, unit(headline)))
    heads = [f"{title} ({counts.get(name, 0)})" for name, title in READINGS.items()]
    columns = ("sample metric", *heads, "unit")
    return Table(
        "Sample metrics, compared with equally many real phrases",
        columns,
        tuple(rows),
        tuple(heads),
    )


def unit(headline: Mapping[str, Any]) -> str:
    """`share, lower is better`."""
    better = "" if headline["better"] == "neither" else f"{headline['better']} is better"
    return ", ".join(part for part in (headline["unit"], better) if part)


def _cell(reading: Mapping[str, Any], key: str) -> str:
    """`0.935 [0.901, 0.962]`"""
    value = number(at(reading["result"], key))
    return value + interval_text(reading, key)


def interval_text(reading: Mapping[str, Any], key: str) -> str:
    """` [0.901, 0.962]`, or an empty string without an interval."""
    interval = reading["intervals"].get(key)
    return f" [{interval['low']:.3g}, {interval['high']:.3g}]" if interval else ""


def _headlines(document: Document) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Every headline value: its name, its description, and its metric."""
    for label, metric in document["metrics"].items():
        for headline in metric["headline"]:
            key = headline["key"]
            yield (label if key == label else f"{label}.{key}"), headline, metric
