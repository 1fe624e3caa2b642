"""How long `tp plugins list` takes per installed plugin: 2 ms is the most it may.

    python benchmarks/plugin_listing.py [--plugins 200] [--rounds 10]

Fabricates distributions, one plugin with options each, and runs the command with and without them
on the path, in turn. Prints the least time on the clock and on the processor: whatever else the
machine does only ever adds to them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCE = """
from pydantic import Field

from tp_core import Component, Options, hookimpl


class Settings(Options):
    eps: float = Field(1e-6, gt=0, description="added to the mean square", examples=[0.1])
    gain: bool = Field(True, description="learn a gain")


@hookimpl
def tp_norms():
    return [
        Component(
            name="norm_{number}",
            target="{name}_model:Norm",
            options=Settings,
            summary="One of many",
        )
    ]
"""


def fabricate(place: Path, count: int) -> None:
    """`count` distributions in one directory, as in site-packages."""
    for number in range(count):
        name = f"tp_many_{number:03}"
        info = place / f"{name}-1.0.dist-info"
        info.mkdir()
        readme = "A paragraph of what a package index shows.\n" * 50
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n"
            f"Requires-Dist: transformer-playground>=0.1\n\n{readme}"
        )
        (info / "entry_points.txt").write_text(f"[tp]\n{name} = {name}\n")
        (place / f"{name}.py").write_text(SOURCE.format(number=number, name=name))


def listing(path: str, plugins: int) -> tuple[float, float]:
    """Seconds on the clock and on the processor of one `tp plugins list`."""
    command = [sys.executable, "-m", "tp_core.cli", "plugins", "list", "--json"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began, before = time.perf_counter(), os.times()
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**environment, "PYTHONPATH": path}
    )
    clock, after = time.perf_counter() - began, os.times()
    rows = json.loads(done.stdout)["components"]
    assert sum(row["distribution"].startswith("tp-many-") for row in rows) == plugins
    processor = sum(after[2:4]) - sum(before[2:4])  # of the children, in and out of the kernel
    return clock, processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plugins", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fabricate(Path(folder), args.plugins)
        rounds = [(listing("", 0), listing(folder, args.plugins)) for _ in range(args.rounds + 1)][
            1:
        ]  # the first warms the disk and writes the bytecode
    for index, name in enumerate(("clock", "processor")):
        without, beside = (min(one[which][index] for one in rounds) * 1e3 for which in (0, 1))
        print(
            f"{name:10} none {without:6.0f} ms   {args.plugins} plugins {beside:6.0f} ms   "
            f"each {(beside - without) / args.plugins:.2f} ms"
        )


if __name__ == "__main__":
    main()
