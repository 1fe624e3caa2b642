"""Plot loss curves as text for a terminal. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence

from tp_core.plots.curves import AXIS_LABELS, FIGURE_LABELS, Axis, Figure, RunCurves, smooth


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
    """`width` x `height` characters: validation lines against training lines, and the best step."""
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(width, height)
    marks = ("hd", "dot", "sd", "fhd", "x", "+", "o")
    hues = ("blue", "orange", "green", "magenta", "red", "cyan", "gray")
    for index, run in enumerate(runs):
        name, hue = ("" if len(runs) == 1 else f"{run.title}: "), hues[index % len(hues)]
        if run.batch.x and smoothing > 1:
            batch = smooth(run.batch, smoothing)
            label = f"{name}training batches, {smoothing}-step average"
            plotext.plot(batch.x, batch.y, label=label, color=hue, marker="dot")
        # Without colour, runs differ in the characters of their lines.
        for curve, label, marker in (
            (run.train, "training subset", "braille" if len(runs) == 1 else ""),
            (run.val, "validation", marks[index % len(marks)]),
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
        plotext.title(runs[0].title)
    text = str(plotext.build())
    plotext.clear_figure()
    return text if color else "\n".join(map(str.rstrip, plotext.uncolorize(text).split("\n")))
