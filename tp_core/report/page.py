"""A report as one page that needs nothing beside it: no network, no script, no other file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tp_core.plain_data import leaves
from tp_core.plots.curves import Curve
from tp_core.plots.image import draw_inline
from tp_core.report.tables import READINGS, Document, interval_text, number, tables


def render_page(document: Document, clean: Callable[[str], str]) -> str:
    """The page of a report; `clean` writes out control characters, which no page may hold."""
    environment = Environment(
        loader=PackageLoader("tp_core.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
    return environment.get_template("page.html.jinja").render(
        report=document,
        tables=tables(document),
        details={label: _details(one) for label, one in document["metrics"].items()},
        drawing=curve_svg(document) if document["curve"] else "",
    )


def curve_svg(document: Document) -> str:
    """The curve of the run's evaluations beside the baselines, its checkpoint marked."""
    points = document["curve"]
    steps = tuple(point["step"] for point in points)
    train, val = (Curve(steps, tuple(point[name] for point in points)) for name in ("train", "val"))
    levels = {
        name.replace("_", " "): one["val_bits_per_byte"]
        for name, one in document["baselines"].items()
    }
    return draw_inline(train, val, levels, document["step"])


def _details(metric: Mapping[str, Any]) -> dict[str, Any]:
    """Everything one metric said: a row for each value, a column for each reading."""
    readings = metric["readings"]
    flat = {name: dict(leaves(one["result"], opened=_has_nested)) for name, one in readings.items()}
    keys = list(dict.fromkeys(key for values in flat.values() for key in values))
    rows = [
        (
            key,
            [
                _cell(flat[name].get(key)) + interval_text(one, key)
                for name, one in readings.items()
            ],
        )
        for key in keys
    ]
    titles = [READINGS.get(name, "value") for name in readings]
    return {"titles": titles, "rows": rows, "summary": metric["summary"]}


def _has_nested(items: Sequence[Any]) -> bool:
    return any(isinstance(one, (Mapping, list)) for one in items)


def _cell(value: Any) -> str:
    return ", ".join(map(number, value)) if isinstance(value, list) else number(value)
