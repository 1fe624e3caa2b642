"""Views to ask metrics about, and the metrics by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tp_core.assembly.loading import load_class
from tp_core.config.components import resolve_spec
from tp_core.interfaces.metrics import MetricView, SplitLosses, TokenLosses
from tp_core.kernel.catalogue import Catalogue
from tp_core.kernel.options import Spec
from tp_plugins.metrics import tp_metrics

NAMES = [c.name for c in tp_metrics()]
PHRASES = Path(__file__).parents[2] / "phrases.txt"


def metric(name: str) -> Any:
    """A metric as a report builds it."""
    chosen = resolve_spec(Catalogue(), Spec[Any](name, {}, "metric"))
    return load_class(chosen)(chosen.options, None)


def compute(name: str, **parts: Any) -> dict[str, Any]:
    """What a metric says of a view of these parts."""
    result: dict[str, Any] = metric(name).compute(MetricView(**parts))
    return result


def split_losses(nll: list[float], token_losses: TokenLosses | None = None) -> SplitLosses:
    n = len(nll)
    return SplitLosses(np.array(nll), np.full(n, 3), np.full(n, 10), token_losses)


def token_scores(**columns: Any) -> TokenLosses:
    """Tokens of which only some columns matter."""
    n = max((len(column) for name, column in columns.items() if name[0] != "t"), default=0)
    return TokenLosses(
        nll=np.asarray(columns.get("nll", np.ones(n)), np.float32),
        position=np.asarray(columns.get("position", np.zeros(n)), np.int32),
        end=np.asarray(columns.get("end", np.zeros(n)), np.bool_),
        confidence=np.asarray(columns.get("confidence", np.full(n, 0.5)), np.float32),
        correct=np.asarray(columns.get("correct", np.zeros(n)), np.bool_),
        temperatures=np.asarray(columns.get("temperatures", [0.5, 1.0, 2.0]), np.float64),
        nll_at=np.asarray(columns.get("totals", [3.0, 2.0, 3.0]), np.float64),
    )


def full_view() -> MetricView:
    """A view with something of everything."""
    train = ["the cat sat on the mat", "a dog", "the cat sat on the mat", "naïve π", "", "a  b"]
    val = ["the dog sat", "a cat on a mat", "漢字 😀"]
    samples = ["the cat sat on the mat", "a dog sat on a dog", "zebra", "", "a dog", "漢字 x 😀"]
    tokens = token_scores(
        nll=[0.5, 1.5, 2.5, 3.5],
        position=[0, 1, 0, 1],
        end=[False, True, False, True],
        confidence=[0.1, 0.9, 0.5, 1.0],
        correct=[True, False, True, True],
        temperatures=[0.5, 1.0, 2.0, 4.0],
        totals=[9.0, 8.0, 8.5, 9.5],
    )
    return MetricView(
        losses={
            "train": split_losses([1.0, 2.0]),
            "val": split_losses([2.0, 3.0, 4.0], tokens),
        },
        samples=samples,
        stops=["end", "length", "end", "end", "context", "end"],
        texts={"train": train, "val": val},
        distinct={"train": split_losses([2.0, 3.0, 4.0, 5.0, 6.0]), "val": split_losses([3.0] * 3)},
        evaluations=[
            {"step": step, "split": split, "loss": loss, "bits_per_byte": loss / 2}
            for step, losses in ((0, (5.0, 5.0)), (10, (3.0, 3.5)), (20, (2.0, 4.0)))
            for split, loss in zip(("train", "val"), losses, strict=True)
        ],
    )
