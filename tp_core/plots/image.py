"""Loss curves drawn by matplotlib: as a picture file, or inside a page of HTML. Torch-free.

Colours are Okabe and Ito's (2008), which colour-blind readers tell apart; what a line stands for is
also in its dashes and markers, so that a print in grey can be read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tp_core.plots.curves import AXIS_LABELS, FIGURE_LABELS, Axis, Curve, Figure, RunCurves, smooth

FORMATS = ("svg", "png", "pdf")
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# A run on its own has two: validation's, as for any first run, and one for its training lines.
_VAL, _TRAIN = _COLORS[0], _COLORS[4]
_DOTS_PER_INCH = 160
# More points than this are no longer told apart by their markers.
_MOST_MARKERS = 60
# Stands for the colour of a page's text, which is not known here.
_PAGE_INK = "#010203"


def draw(
    runs: Sequence[RunCurves],
    axis: Axis,
    figure: Figure,
    *,
    log_y: bool = False,
    smoothing: int = 1,
    suffix: str = "svg",
) -> bytes:
    """The picture's file content. The same curves give the same bytes.

    With one run, its batches are drawn too; with several only where they are smoothed, for they
    would cover the rest.
    """
    with _axes((6.4, 4.0), "black", AXIS_LABELS[axis], FIGURE_LABELS[figure]) as axes:
        for index, run in enumerate(runs):
            _draw_run(axes, run, index, len(runs) == 1, smoothing)
        if log_y:
            axes.set_yscale("log")
            _plain_ticks(axes)
        if len(runs) == 1:
            axes.set_title(runs[0].title, fontsize=10, loc="left")
        axes.legend()
        return _saved(axes, suffix)


def draw_inline(
    train: Curve, val: Curve, baselines: Mapping[str, float], step: int | None = None
) -> str:
    """Bits per byte over steps as one `<svg>` for a page, whose text colour it takes on.

    `step` is marked where validation was evaluated there. Baselines, by name, stand as dotted lines
    where they are not above all that the curves reached.
    """
    labels = (AXIS_LABELS["steps"], FIGURE_LABELS["bits_per_byte"])
    with _axes((7.6, 3.6), _PAGE_INK, *labels) as axes:
        _draw_evaluations(axes, train, val, _TRAIN, _VAL)
        highest = max((*train.y, *val.y), default=1.0)
        for name, level in baselines.items():
            if level <= highest:
                axes.axhline(level, color=_PAGE_INK, linewidth=0.8, linestyle=":", alpha=0.6)
                place = {"xy": (1.01, level), "xycoords": axes.get_yaxis_transform()}
                axes.annotate(name, **place, va="center", fontsize=8)
        if step in val.x:
            _mark(axes, step, val.y[val.x.index(step)], "o", f"step {step:,}", color="none")
        axes.set_ylim(bottom=0)
        axes.legend()
        drawing = _saved(axes, "svg", transparent=True).decode()
    # Inside a page an <svg> has neither declaration nor metadata.
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing[drawing.index("<svg") :], flags=re.S)
    return drawing.replace(_PAGE_INK, "currentColor")


@contextmanager
def _axes(size: tuple[float, float], ink: str, x_label: str, y_label: str) -> Iterator[Any]:
    """Empty axes in a figure of their own; what is no curve is drawn in `ink`."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Picture

    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    settings: Any = {
        **dict.fromkeys(inked, ink),
        "svg.fonttype": "none",  # text stays text: it can be searched, copied and read out
        "svg.hashsalt": "tp",  # the same drawing, the same bytes
        "font.size": 10,
        "legend.fontsize": 9,
        "legend.frameon": False,
        "text.parse_math": False,
    }
    with mpl.rc_context(settings):
        axes = Picture(figsize=size, layout="constrained").add_subplot()
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}" if x == int(x) else f"{x:g}")
        axes.grid(True, color=ink, alpha=0.12, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        yield axes


def _draw_run(axes: Any, run: RunCurves, index: int, alone: bool, smoothing: int) -> None:
    name = "" if alone else f"{run.title}: "
    val_color = _COLORS[index % len(_COLORS)]
    train_color = _TRAIN if alone else val_color
    if run.batch.x and (alone or smoothing > 1):
        batch = smooth(run.batch, smoothing)
        label = f"{name}training batches" + (f", mean of {smoothing}" if smoothing > 1 else "")
        axes.plot(batch.x, batch.y, color=train_color, alpha=0.5, linewidth=0.8, label=label)
    _draw_evaluations(axes, run.train, run.val, train_color, val_color, name)
    if run.best is not None:
        step, x, y = run.best
        _mark(axes, x, y, "*", f"{name}best: {y:.3f} at step {step:,}", color=val_color)


def _draw_evaluations(
    axes: Any, train: Curve, val: Curve, train_color: str, val_color: str, name: str = ""
) -> None:
    for curve, label, style, marker, color in (
        (train, "training lines", "--", "o", train_color),
        (val, "validation lines", "-", "s", val_color),
    ):
        if curve.x:
            axes.plot(
                *(curve.x, curve.y, style),
                color=color,
                marker=marker if len(curve.x) <= _MOST_MARKERS else "",
                markersize=3.5,
                linewidth=1.6,
                label=f"{name}{label}",
            )


def _mark(axes: Any, x: float, y: float, marker: str, label: str, color: str) -> None:
    """One point that stands out, in `color` with an edge of ink."""
    from matplotlib import rcParams

    axes.plot(
        *([x], [y], marker),
        color=color,
        markersize=12,
        markeredgecolor=rcParams["text.color"],
        label=label,
        zorder=5,
    )


def _plain_ticks(axes: Any) -> None:
    """Losses span less than a decade as often as not: label them as they are, not as powers."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())


def _saved(axes: Any, suffix: str, transparent: bool = False) -> bytes:
    """The file content of the figure that `axes` are in."""
    output = io.BytesIO()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix, {})
    axes.figure.savefig(
        output, format=suffix, dpi=_DOTS_PER_INCH, metadata=undated, transparent=transparent
    )
    return output.getvalue()
