"""Drawing loss curves: a picture by matplotlib, or characters for the terminal. Torch-free.

Colours are Okabe and Ito's (2008), which colour-blind readers tell apart; what a line stands for is
also in its dashes and markers, so that a print in grey can be read.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from tp_core.plots.curves import AXIS_LABELS, FIGURE_LABELS, Axis, Figure, RunCurves, smooth

FORMATS = ("svg", "png", "pdf")
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DOTS_PER_INCH = 160
# More points than this are no longer told apart by their markers.
_MOST_MARKERS = 60


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
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    settings: Any = {
        "svg.fonttype": "none",  # text stays text: it can be searched, copied and read out
        "svg.hashsalt": "tp",
        "font.size": 10,
        "text.parse_math": False,
    }
    with mpl.rc_context(settings):
        picture, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
        try:
            for index, run in enumerate(runs):
                color = _COLORS[index % len(_COLORS)]
                _draw_run(axes, run, color, len(runs) == 1, smoothing)
            axes.set_xlabel(AXIS_LABELS[axis])
            axes.set_ylabel(FIGURE_LABELS[figure])
            axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}" if x == int(x) else f"{x:g}")
            if log_y:
                axes.set_yscale("log")
                _plain_ticks(axes)
            axes.grid(True, alpha=0.25, linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            if len(runs) == 1:
                axes.set_title(_title(runs[0]), fontsize=10, loc="left")
            axes.legend(frameon=False, fontsize=9)
            output = io.BytesIO()
            undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix, {})
            picture.savefig(output, format=suffix, dpi=_DOTS_PER_INCH, metadata=undated)
        finally:
            plt.close(picture)
    return output.getvalue()


def _draw_run(axes: Any, run: RunCurves, color: str, alone: bool, smoothing: int) -> None:
    name = "" if alone else f"{_title(run)}: "
    if run.batch.x and (alone or smoothing > 1):
        batch = smooth(run.batch, smoothing)
        label = f"{name}training batches" + (f", mean of {smoothing}" if smoothing > 1 else "")
        axes.plot(batch.x, batch.y, color=color, alpha=0.35, linewidth=0.8, label=label)
    for curve, label, style, marker in (
        (run.train, "training lines", "--", "o"),
        (run.val, "validation lines", "-", "s"),
    ):
        if curve.x:
            shown = marker if len(curve.x) <= _MOST_MARKERS else ""
            axes.plot(
                *(curve.x, curve.y, style),
                color=color,
                marker=shown,
                markersize=3.5,
                markerfacecolor="white" if marker == "o" else color,
                linewidth=1.6,
                label=f"{name}{label}",
            )
    if run.best is not None:
        step, x, y = run.best
        label = f"{name}best: {y:.3f} at step {step:,}"
        axes.plot(
            [x],
            [y],
            "*",
            color=color,
            markersize=12,
            markeredgecolor="black",
            label=label,
            zorder=5,
        )


def _plain_ticks(axes: Any) -> None:
    """Losses span less than a decade as often as not: label them as they are, not as powers."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())


def _title(run: RunCurves) -> str:
    return run.id if run.status == "finished" else f"{run.id} ({run.status})"


def draw_text(
    runs: Sequence[RunCurves],
    axis: Axis,
    figure: Figure,
    *,
    log_y: bool = False,
    smoothing: int = 1,
    width: int,
    height: int,
    color: bool,
) -> str:
    """The same as `width` x `height` characters, validation against training lines."""
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(width, height)
    marks = ("hd", "dot", "sd", "fhd", "x", "+", "o")
    hues = ("blue", "orange", "green", "magenta", "red", "cyan", "gray")
    for index, run in enumerate(runs):
        name, hue = ("" if len(runs) == 1 else f"{_title(run)}: "), hues[index % len(hues)]
        if run.batch.x and smoothing > 1:
            batch = smooth(run.batch, smoothing)
            label = f"{name}training batches, mean of {smoothing}"
            plotext.plot(batch.x, batch.y, label=label, color=hue, marker="dot")
        # Without colour, runs are told apart by what their lines are made of.
        for curve, label, marker in (
            (run.train, "training lines", "braille" if len(runs) == 1 else ""),
            (run.val, "validation lines", marks[index % len(marks)]),
        ):
            if curve.x and marker:
                plotext.plot(curve.x, curve.y, label=f"{name}{label}", color=hue, marker=marker)
        if run.best is not None:
            step, x, y = run.best
            label = f"{name}best: {y:.3f} at step {step}"
            plotext.scatter([x], [y], label=label, color=hue, marker="x")
    plotext.xlabel(AXIS_LABELS[axis])
    plotext.ylabel(FIGURE_LABELS[figure])
    if log_y:
        plotext.yscale("log")
    if len(runs) == 1:
        plotext.title(_title(runs[0]))
    text = str(plotext.build())
    plotext.clear_figure()
    return text if color else "\n".join(map(str.rstrip, plotext.uncolorize(text).split("\n")))
