"""Time and memory of `tp report` on a million training lines.

    python benchmarks/report_scale.py [--lines 1000000] [--metrics NAME,NAME...] [--train-mass]

Fabricates a phrase file in a temporary directory, trains a model on it for one step, and measures
`tp report` in a process of its own: seconds by phase, and the peak of its memory. Sampling and
scoring depend on the model and are told apart. The report runs twice: the first time, the tokenised
lines are not in the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TP = [sys.executable, "-m", "tp_core.cli"]
OF_THE_MODEL = ("sampling", "scoring", "scoring every training phrase")
CONFIG = """
[data]
path = "lines.txt"
val_fraction = 0.1
test_fraction = 0.0
[tokenizer]
vocab_size = 512
[model]
d_model = 32
n_layers = 1
n_heads = 2
max_seq_len = 96
positional_encoding = "rope"
attention = "softmax"
norm = "rmsnorm"
mlp = "swiglu"
block = "pre"
[train]
max_steps = 1
batch_size = 32
optimizer = "adamw"
schedule = "constant"
sample_interval = 0
device = "cpu"
[sampling]
samplers = ["temperature"]
[report]
metrics = []
"""


def fabricate(path: Path, count: int) -> None:
    """So many lines of four to twelve words, some words much more frequent than others."""
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(20_000)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count // 1000):
            stock = rng.choices(words, weights, k=12_000)
            rows = (stock[i * 12 : i * 12 + rng.randint(4, 12)] for i in range(1000))
            file.writelines(" ".join(row) + "\n" for row in rows)


def processor() -> float:
    """Seconds of processor that processes started from here have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--metrics", default="")
    parser.add_argument("--train-mass", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fabricate(folder / "lines.txt", round(given.lines / 0.9))
        (folder / "config.toml").write_text(CONFIG)
        environment = {**os.environ, "TP_CACHE_DIR": str(folder / "cache"), "OMP_NUM_THREADS": "1"}

        def tp(*args: str) -> tuple[float, float]:
            """Seconds by the clock and of the processor."""
            began, used = time.perf_counter(), processor()
            done = subprocess.run(
                [*TP, *args], cwd=folder, env=environment, capture_output=True, text=True
            )
            if done.returncode:
                sys.exit(done.stderr)
            return time.perf_counter() - began, processor() - used

        size = (folder / "lines.txt").stat().st_size
        print(f"{given.lines:,} training lines in {size / 1e6:.0f} MB", flush=True)
        took, used = tp("train", "--config", "config.toml", "--run-id", "r")
        print(f"training one step: {took:.1f} s ({used:.1f} s of processor)", flush=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        more = ["--metrics", given.metrics] if given.metrics else []
        more += ["--train-mass"] if given.train_mass else []
        for attempt in ("first", "second"):
            took, used = tp("report", "--run-id", "r", "--unconditional", *more)
            newest = max((folder / "runs/r/reports").iterdir(), key=lambda p: p.stat().st_mtime)
            perf = json.loads(newest.read_text())["perf"]
            phases = perf["seconds"]
            model = sum(phases.get(phase, 0.0) for phase in OF_THE_MODEL)
            print(
                f"{attempt} report: {took:.1f} s ({used:.1f} s of processor), of which the model "
                f"{model:.1f} s"
            )
            print(f"  peak memory {perf['memory_mib']:.0f} MiB; {phases}", flush=True)
        print(f"peak memory of training: {before / 2**10:.0f} MiB")


if __name__ == "__main__":
    main()
