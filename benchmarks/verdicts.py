"""Whether `tp report` calls runs by their name: its verdict on runs made to come out one way.

    python benchmarks/verdicts.py [--seed 0] [--only NAME]

Each run's verdict is fixed beforehand by how the run is made: far too few steps, a model or a rate
too small to learn, a language that can be learned, a few lines seen hundreds of times. Lines, start
values, data order and samples all follow from `--seed`, so another seed is a fresh set of runs.
Lines come from phrases.txt, from tinyshakespeare.txt where it lies in ../shared/data, and from a
small grammar. Prints a table, and ends with 1 where a verdict is not the one expected.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tp_core.cli import main as tp
from tp_core.report.make import ReportSettings, make_report
from tp_core.runs.directory import RunDir
from tp_core.runs.opening import open_run

ROOT = Path(__file__).parents[1]
SHAKESPEARE = ROOT.parent / "shared" / "data" / "tinyshakespeare.txt"
SAMPLES = 200

Lines = Callable[[random.Random], list[str]]


@dataclass(frozen=True)
class Case:
    """A run, and what each of its checkpoints is to be called."""

    name: str
    lines: Lines
    expected: dict[str, str]
    steps: int
    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)


def phrases(count: int) -> Lines:
    """So many lines of phrases.txt."""
    return lambda rng: rng.sample((ROOT / "phrases.txt").read_text("utf-8").splitlines(), count)


def plays(count: int) -> Lines:
    """So many different lines of Shakespeare; of phrases.txt where there is none."""

    def choose(rng: random.Random) -> list[str]:
        if not SHAKESPEARE.is_file():
            return phrases(min(count, 3000))(rng)
        every = dict.fromkeys(SHAKESPEARE.read_text("utf-8").split("\n"))
        return rng.sample([line for line in every if 12 <= len(line) <= 60], count)

    return choose


def grammar(count: int, *, closed: bool) -> Lines:
    """Sentences in which each word depends on the one before; `closed`: of a few hundred at all."""
    sizes = (1, 6, 8, 9, 6) if closed else (4, 40, 40, 40, 40)

    def choose(rng: random.Random) -> list[str]:
        names = random.Random(0)
        words = [
            ["".join(names.choices("aeioubdkmnprst", k=names.randint(3, 7))) for _ in range(size)]
            for size in sizes
        ]
        lines: dict[str, None] = {}
        while len(lines) < count:
            picks = [rng.randrange(size) for size in sizes]
            picks[2] = picks[1] if rng.random() < 0.5 else picks[2]  # half of the verbs agree
            lines[" ".join(w[p % len(w)] for w, p in zip(words, picks, strict=True))] = None
        return list(lines)

    return choose


SMALL = {"d_model": 64, "n_layers": 2, "n_heads": 2}
WIDE = {"d_model": 96, "n_layers": 3, "n_heads": 4}
TINY = {"d_model": 8, "n_layers": 1, "n_heads": 1}


def both(label: str) -> dict[str, str]:
    return {"best_val": label, "last": label}


CASES = (
    # A handful of steps, or a rate at which nothing moves.
    Case("three steps", phrases(1500), both("untrained"), 3, SMALL, {"learning_rate": 1e-4}),
    Case("no rate", plays(1500), both("untrained"), 30, SMALL, {"learning_rate": 1e-7}),
    Case("few lines, two steps", phrases(150), both("untrained"), 2, WIDE, {"learning_rate": 1e-4}),
    # Past frequencies, and stopped long before the end, or too small to get further.
    Case("stopped early", phrases(3000), both("underfit"), 70, SMALL),
    Case("stopped early, plays", plays(8000), both("underfit"), 100, WIDE),
    Case("too small", phrases(3000), both("underfit"), 300, TINY),
    # Enough lines for what there is to learn. In the closed grammar half of what can be said at all
    # is in the training split: a model that learned it says training phrases all the time.
    Case("all phrases", phrases(3100), both("generalises"), 500, WIDE, {"batch_size": 48}),
    Case("grammar", grammar(4000, closed=False), both("generalises"), 450, SMALL),
    Case("closed grammar", grammar(1200, closed=True), both("generalises"), 350, SMALL),
    # Lines seen so often that validation suffers; the best checkpoint is from before.
    Case("many epochs", phrases(450), {"best_val": "overfits"}, 450, WIDE),
    Case("many epochs, plays", plays(400), {"best_val": "overfits"}, 450, WIDE),
    Case("not by heart yet", phrases(800), both("overfits"), 650, WIDE),
    # So few lines, so often, that the last checkpoint knows them by heart.
    Case("by heart", phrases(120), {"best_val": "overfits", "last": "memorises"}, 450, SMALL),
    Case("by heart, plays", plays(150), {"best_val": "overfits", "last": "memorises"}, 450, SMALL),
    Case("by heart, wide", phrases(200), {"best_val": "overfits", "last": "memorises"}, 400, WIDE),
)


def config(case: Case, path: Path, seed: int) -> dict[str, Any]:
    """The case's config: plain components, no dropout, ten evaluations."""
    warmup = min(20, case.steps - 1)
    return {
        "data": {"path": str(path), "val_fraction": 0.12, "test_fraction": 0.0, "split_seed": seed},
        "tokenizer": {"vocab_size": 420},
        "model": {
            **{"max_seq_len": 64, "positional_encoding": "rope", "attention": "softmax"},
            **{"norm": "rmsnorm", "mlp": "swiglu", "block": "pre", **case.model},
        },
        "train": {
            **{"seed": seed, "max_steps": case.steps, "batch_size": 32, "learning_rate": 4e-3},
            **{"optimizer": "adamw", "schedule": {"name": "cosine", "warmup": warmup}},
            **{"eval_interval": max(case.steps // 10, 1), "sample_interval": 0},
            **{"checkpoint_interval": case.steps, "device": "cpu", **case.train},
        },
        "eval": {"max_lines": 300},
        "sampling": {
            "max_new_tokens": 40,
            "samplers": [{"name": "temperature", "temperature": 0.8}, {"name": "top_p", "p": 0.95}],
        },
        "report": {"metrics": []},
    }


def train(case: Case, folder: Path, seed: int) -> RunDir:
    folder.mkdir()
    path = folder / "lines.txt"
    path.write_text("\n".join(case.lines(random.Random(seed))) + "\n", encoding="utf-8")
    file = folder / "config.json"
    file.write_text(json.dumps(config(case, path, seed)))
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        code = tp(["train", "--config", str(file), "--runs-dir", str(folder), "--run-id", "run"])
    if code:
        sys.exit(f"{case.name}: training ended with {code}\n{quiet.getvalue()}")
    return RunDir(folder / "run")


def verdict(run: RunDir, checkpoint: str) -> dict[str, Any]:
    loaded = open_run(run, checkpoint)
    settings = ReportSettings(
        checkpoint=checkpoint,
        plan=loaded.plan,
        prompt="",
        n_samples=SAMPLES,
        max_new_tokens=loaded.plan.config.sampling.max_new_tokens,
        seed=loaded.plan.config.train.seed,
    )
    return make_report(loaded, settings, lambda what: None)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    torch.set_num_threads(1)
    wrong = 0
    began = time.perf_counter()
    print(f"{'run':22} {'checkpoint':10} {'expected':12} {'verdict':12} what was seen")
    with tempfile.TemporaryDirectory() as folder:
        for index, case in enumerate(CASES):
            if given.only not in case.name:
                continue
            run = train(case, Path(folder) / str(index), 1000 * given.seed + index)
            for checkpoint, expected in case.expected.items():
                report = verdict(run, checkpoint)
                found = report["verdict"]["label"]
                wrong += found != expected
                mark = "" if found == expected else "   <-- not what was expected"
                row = f"{case.name:22} {checkpoint:10} {expected:12} {found:12}"
                print(f"{row} {seen(report)}{mark}", flush=True)
    print(f"{wrong} wrong, {time.perf_counter() - began:.0f} s")
    return 1 if wrong else 0


def seen(report: dict[str, Any]) -> str:
    """The figures a verdict rests on, briefly."""
    scores = {name: one["bits_per_byte"] for name, one in report["scores"].items()}
    beside = {name: one["val_bits_per_byte"] for name, one in report["baselines"].items()}
    marks = [sample["mark"] for sample in {s["text"]: s for s in report["samples"]}.values()]
    best = min(report["curve"], key=lambda point: point["val"])
    mass = report["mass"] or {"train": float("nan"), "val": float("nan")}
    return (
        f"val {scores['val']:.2f} train {scores['train']:.2f} "
        f"unigram {beside['token_unigram']:.2f} 5-gram {beside['character_5gram']:.2f}; "
        f"best {best['val']:.2f} at {best['step']}, last {report['curve'][-1]['val']:.2f} "
        f"at {report['curve'][-1]['step']}; copies {marks.count('train')}/{len(marks)} train "
        f"{marks.count('val')} val; mass {mass['train']:.2g}, {mass['val']:.2g}"
    )


if __name__ == "__main__":
    sys.exit(main())
