"""`tp plot-loss`, on runs as training leaves them: whole, running, crashed, damaged."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from cli_runner import Done, Run

from tp_core.files import write_json
from tp_core.plots.curves import Curve, read_curves, smooth
from tp_core.runs.directory import RunDir, claim_run, lock


def line(step: int, split: str, loss: float, **more: Any) -> dict[str, Any]:
    figures = {"step": step, "tokens": 100 * step, "split": split, "loss": loss}
    return {**figures, "bits_per_byte": loss / 2, **more}


WHOLE = [
    line(0, "train", 6.0),
    line(0, "val", 6.1),
    *(line(step, "batch", 6.0 - step, perf={"seconds": 0.5}) for step in (1, 2, 3, 4)),
    line(2, "train", 4.0),
    line(2, "val", 4.2),
    line(4, "train", 2.0),
    line(4, "val", 4.5),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(run_id: str, lines: list[dict[str, Any]], tokenizer: bytes = b"one") -> RunDir:
    run = claim_run(Path("runs"), run_id)
    run.metrics_path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    run.tokenizer_path.write_bytes(tokenizer)
    write_json(run.summary_path, {"status": "finished"})
    return run


def texts(path: str | Path) -> list[str]:
    """Every text in an SVG; parsing it also shows that it is well-formed."""
    found = ET.parse(path).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(element.itertext()) for element in found]


def test_one_run_gives_an_svg_with_its_curves_and_best_step(tp: Run) -> None:
    make("alpha", WHOLE)
    done = tp("plot-loss", "--run-id", "alpha")
    assert (done.code, done.out.strip()) == (0, "loss-alpha.svg")
    shown = texts("loss-alpha.svg")
    for words in ("training batches", "training subset", "validation", "optimizer steps"):
        assert words in shown
    assert "best: 4.200 at step 2" in shown
    assert "loss (nats per token)" in shown


def test_the_same_run_gives_the_same_bytes(tp: Run) -> None:
    make("alpha", WHOLE)
    for name in ("a.svg", "b.svg"):
        assert tp("plot-loss", "--run-id", "alpha", "--out", name).code == 0
    assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("PNG", b"")])
def test_the_suffix_decides_the_format(tp: Run, suffix: str, magic: bytes) -> None:
    make("alpha", WHOLE)
    assert tp("plot-loss", "--run-id", "alpha", "--out", f"a.{suffix}").code == 0
    assert Path(f"a.{suffix}").read_bytes().startswith(magic)


def test_several_runs_share_a_legend_and_leave_the_batches_out(tp: Run) -> None:
    make("alpha", WHOLE)
    make("beta", WHOLE[:2])
    assert tp("plot-loss", "--run-id", "alpha,beta", "--out", "a.svg").code == 0
    shown = texts("a.svg")
    assert "alpha: validation" in shown
    assert "beta: best: 6.100 at step 0" in shown
    assert not any("batches" in text for text in shown)
    tp("plot-loss", "--run-id", "alpha,beta", "--out", "b.svg", "--smooth", "2")
    assert "alpha: training batches, 2-step average" in texts("b.svg")


def test_different_tokenizers_are_drawn_in_bits_per_byte(tp: Run) -> None:
    make("alpha", WHOLE)
    make("beta", WHOLE, tokenizer=b"another")
    done = tp("plot-loss", "--run-id", "alpha,beta", "--out", "a.svg")
    assert "different tokenizers" in done.err
    assert "bits per byte" in texts("a.svg")
    assert "alpha: best: 2.100 at step 2" in texts("a.svg")


def test_points_stand_where_their_axis_says() -> None:
    run = make("alpha", WHOLE)
    assert read_curves(run).val == Curve((0, 2, 4), (6.1, 4.2, 4.5))
    assert read_curves(run, "tokens").val.x == (0, 200, 400)
    assert read_curves(run, "time").val.x == (0, 1.0, 2.0)
    assert read_curves(run, "time").batch.x == (0.5, 1.0, 1.5, 2.0)
    assert read_curves(run).best == (2, 2, 4.2)


def test_time_needs_to_have_been_measured(tp: Run) -> None:
    make("alpha", [line(1, "batch", 3.0)])
    done = tp("plot-loss", "--run-id", "alpha", "--x", "time")
    assert (done.code, Path("loss-alpha.svg").exists()) == (2, False)
    assert "--x steps" in done.err


def test_smoothing_is_the_mean_of_the_last_ones() -> None:
    curve = Curve((1, 2, 3, 4), (4.0, 2.0, 6.0, 1.0))
    assert smooth(curve, 2).y == pytest.approx((4.0, 3.0, 4.0, 3.5))
    assert smooth(curve, 1) == curve
    assert smooth(curve, 9).y == pytest.approx((4.0, 3.0, 4.0, 3.25))


def test_a_run_still_training_is_drawn_without_its_torn_line(tp: Run) -> None:
    run = make("alpha", WHOLE[:4])
    with run.metrics_path.open("a") as file:
        file.write('{"step": 2, "split": "val", "lo')
    with lock(run):
        assert tp("plot-loss", "--run-id", "alpha").code == 0
    assert "alpha (running)" in texts("loss-alpha.svg")


def test_a_crashed_run_with_one_evaluation_is_drawn(tp: Run) -> None:
    run = make("alpha", WHOLE[:2])
    run.summary_path.unlink()
    assert tp("plot-loss", "--run-id", "alpha", "--out", "a.svg").code == 0
    assert "alpha (crashed)" in texts("a.svg")


@pytest.mark.parametrize("lines", [[], [line(0, "val", 1.0) | {"loss": None}]])
def test_a_run_without_a_loss_is_refused(tp: Run, lines: list[dict[str, Any]]) -> None:
    make("alpha", lines)
    done = tp("plot-loss", "--run-id", "alpha")
    assert (done.code, list(Path().glob("*.svg"))) == (2, [])
    assert "no loss in metrics.jsonl" in done.err


def test_a_damaged_line_in_the_middle_is_named(tp: Run) -> None:
    run = make("alpha", WHOLE)
    content = run.metrics_path.read_text().split("\n")
    content[2] = content[2][:10]
    run.metrics_path.write_text("\n".join(content))
    done = tp("plot-loss", "--run-id", "alpha")
    assert done.code == 2
    assert "metrics.jsonl:3: damaged line" in done.err


def test_a_picture_is_overwritten_only_by_force(tp: Run) -> None:
    make("alpha", WHOLE)
    Path("loss-alpha.svg").write_text("mine")
    done = tp("plot-loss", "--run-id", "alpha")
    assert (done.code, Path("loss-alpha.svg").read_text()) == (2, "mine")
    assert "--force" in done.err
    assert tp("plot-loss", "--run-id", "alpha", "--force").code == 0
    assert "validation" in texts("loss-alpha.svg")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--run-id", "alpha", "--out", "a.gif"], "must end in .svg, .png, .pdf"),
        (["--run-id", "alpha", "--out", "none/a.svg"], "cannot write none/a.svg"),
        (["--run-id", "alpah"], "Did you mean 'alpha'?"),
        (["--run-id", ","], "--run-id is empty"),
        (["--run-id", "alpha", "--smooth", "0"], "--smooth"),
        (["--run-id", "alpha", "--term", "--out", "a.svg"], "--term can't be combined"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tp: Run, args: list[str], words: str) -> None:
    make("alpha", WHOLE)
    done: Done = tp("plot-loss", *args)
    assert done.code in (1, 2)
    assert words in done.err
    assert [path.name for path in Path().iterdir()] == ["runs"]


@pytest.mark.parametrize("more", [[], ["--log-y"]])
def test_the_terminal_shows_the_curves_without_colour_codes_in_a_pipe(
    tp: Run, more: list[str]
) -> None:
    make("alpha", WHOLE)
    done = tp("plot-loss", "--run-id", "alpha", "--term", *more)
    assert (done.code, list(Path().glob("*.svg"))) == (0, [])
    assert "best: 4.200 at step 2" in done.out
    assert "\x1b" not in done.out


def test_a_logarithmic_axis_changes_the_picture(tp: Run) -> None:
    make("alpha", WHOLE)
    tp("plot-loss", "--run-id", "alpha", "--out", "a.svg")
    tp("plot-loss", "--run-id", "alpha", "--out", "b.svg", "--log-y")
    assert texts("a.svg") != texts("b.svg")
