"""The curve of a run as a drawing that stands inside a page and takes on its colours."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Stands for the colour of the page's text, which is not known here.
_INK = "#010203"
# Two that colour-blind readers tell apart (Okabe and Ito, 2008), legible on light and dark alike.
_TRAIN, _VAL = "#e69f00", "#0072b2"
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "tp",  # the same drawing, the same bytes
    "font.family": "sans-serif",
    "text.parse_math": False,
}


def curve_svg(
    curve: Sequence[Mapping[str, Any]], baselines: Mapping[str, Mapping[str, float]], step: int
) -> str:
    """Bits per byte over steps as one `<svg>`; the checkpoint's `step` is marked.

    Baselines stand as dashed lines where they are not far above all that the run reached.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7.6, 3.6), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        steps = [point["step"] for point in curve]
        for name, colour, style in (("train", _TRAIN, "--"), ("val", _VAL, "-")):
            values = [point[name] for point in curve]
            marker = "." if len(values) < 40 else ""
            label = {"train": "training", "val": "validation"}[name]
            axes.plot(steps, values, style, color=colour, marker=marker, lw=1.8, label=label)
        highest = max((max(point["train"], point["val"]) for point in curve), default=1.0)
        for name, figures in baselines.items():
            level = figures["val_bits_per_byte"]
            if level <= highest:
                axes.axhline(level, color=_INK, lw=0.8, ls=":", alpha=0.6)
                axes.text(
                    1.01,
                    level,
                    name.replace("_", " "),
                    transform=axes.get_yaxis_transform(),
                    va="center",
                    color=_INK,
                    fontsize=8,
                )
        at = [point for point in curve if point["step"] == step]
        if at:
            axes.plot(step, at[0]["val"], "o", mfc="none", mec=_INK, ms=9, label=f"step {step}")
        axes.set_xlabel("step")
        axes.set_ylabel("bits per byte")
        axes.set_ylim(bottom=0)
        axes.grid(color=_INK, alpha=0.12)
        axes.legend(frameon=False, labelcolor=_INK, fontsize=9)
        axes.tick_params(colors=_INK)
        for text in (axes.xaxis.label, axes.yaxis.label):
            text.set_color(_INK)
        for name, spine in axes.spines.items():
            spine.set_color(_INK)
            spine.set_visible(name in ("left", "bottom"))
        axes.patch.set_alpha(0)
        figure.patch.set_alpha(0)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawing = buffer.getvalue()
    # Inside a page an <svg> has neither declaration nor metadata.
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing[drawing.index("<svg") :], flags=re.S)
    return drawing.replace(_INK, "currentColor")
