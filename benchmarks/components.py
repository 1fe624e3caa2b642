"""Trains every built-in component for 200 steps on phrases.txt and prints a table.

    OMP_NUM_THREADS=1 python benchmarks/components.py [--precision bf16] [--kind KIND] [--steps N]

One component is changed at a time in configs/default.toml, made smaller so that the table takes
minutes. Bits per byte are on the validation lines, at the first and the last step. Step times are
medians over a run and given as ratios to the default's, which is timed again between the others,
because a machine's speed drifts. Ends with 1 where a component didn't lower the loss.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tp_core.cli import main as tp
from tp_core.config.plan import load_plan
from tp_core.errors import ConfigError
from tp_core.kernel.catalogue import OWN, Catalogue
from tp_core.kernel.kinds import KINDS

ROOT = Path(__file__).parents[1]
TRAINED = [kind for kind in KINDS.values() if not kind.many]
SMALL = (
    f"data.path={ROOT / 'phrases.txt'}",
    "model.d_model=64",
    "model.n_layers=2",
    "train.batch_size=32",
    "train.device=cpu",
    "train.sample_interval=0",
    "report.metrics=[]",
)
BRIEFLY = ("train.max_steps=40", "train.eval_interval=40")  # only to be timed
# Where the default's options don't carry over: what the component is used with.
OWN_SETS = {
    "sgd": ("train.learning_rate=0.3",),
    "lion": ("train.learning_rate=3e-4",),
    "gated_delta": ("model.positional_encoding=none",),
}


@dataclass(frozen=True)
class Row:
    """What came of one training."""

    kind: str
    name: str
    parameters: int
    first: float
    last: float
    milliseconds: float


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--kind", choices=[one.name for one in TRAINED])
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()
    steps = (f"train.max_steps={args.steps}", f"train.eval_interval={args.steps}")
    common = (*SMALL, *steps, f"train.precision={args.precision}")
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        base = train(Path(folder), "", "default", (*common, *warmup("cosine")))
        print(f"{args.steps} steps, {args.precision}")
        print("kind                 name          parameters  bits/byte first  last   step")
        show(base, 1.0)
        for kind, name, sets in changes(args.kind, common):
            row = train(Path(folder), kind, name, sets)
            again = train(Path(folder), "", "default", (*common, *warmup("cosine"), *BRIEFLY))
            show(row, row.milliseconds / again.milliseconds)
            if not row.last < 0.9 * row.first:
                failed.append(f"{kind} {name}")
    print(f"did not lower the loss: {', '.join(failed)}" if failed else "all lower the loss")
    return 1 if failed else 0


def changes(
    kind: str | None, common: tuple[str, ...]
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Every built-in component of the kinds that are trained, with its settings."""
    catalogue = Catalogue()
    for one in TRAINED:
        for registered in catalogue.loaded(one.name) if kind in (None, one.name) else ():
            name = registered.component.name
            if registered.plugin.distribution != OWN:
                continue
            schedule = name if one.name == "schedule" else "cosine"
            sets = (*common, one.setting(name), *OWN_SETS.get(name, ()), *warmup(schedule))
            try:
                load_plan(ROOT / "configs" / "default.toml", sets)
            except ConfigError as error:
                sys.exit(f"{one.name} {name}: {error}")
            yield one.name, name, sets


def warmup(schedule: str) -> tuple[str, ...]:
    return (f"train.schedule={{name='{schedule}', warmup=20}}",)


def train(folder: Path, kind: str, name: str, sets: tuple[str, ...]) -> Row:
    run_id = f"r{len(list(folder.iterdir()))}"
    config = str(ROOT / "configs" / "default.toml")
    args = ["train", "--config", config, "--runs-dir", str(folder), "--run-id", run_id]
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = tp([*args, *(part for one in sets for part in ("--set", one))])
    if code != 0:
        sys.exit(f"{kind} {name} ended with {code}:\n{said.getvalue()}")
    summary = json.loads((folder / run_id / "summary.json").read_text())
    lines = map(json.loads, (folder / run_id / "metrics.jsonl").open())
    seconds = [line["perf"]["seconds"] for line in lines if line["split"] == "batch"]
    return Row(
        kind,
        name,
        summary["parameters"],
        summary["first_val"]["bits_per_byte"],
        summary["last_val"]["bits_per_byte"],
        1000 * statistics.median(seconds),
    )


def show(row: Row, ratio: float) -> None:
    print(
        f"{row.kind:20} {row.name:13} {row.parameters:10,}  {row.first:15.3f}  {row.last:.3f}  "
        f"{row.milliseconds:5.1f} ms  {ratio:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
