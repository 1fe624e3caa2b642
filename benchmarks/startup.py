"""How long `tp --help` and `tp plugins list` take, against importing what they can't do without.

    python benchmarks/startup.py [--rounds 10]

Each round runs every command once, in turn, so that whatever else the machine does hits all alike.
Prints medians, and whether a command imported torch.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    'python -c "import click"': [sys.executable, "-c", "import click"],
    "tp --help": [sys.executable, "-m", "tp_core.cli", "--help"],
    'python -c "import pydantic"': [sys.executable, "-c", "from pydantic import BaseModel"],
    "tp plugins list": [sys.executable, "-m", "tp_core.cli", "plugins", "list"],
    "tp config check": [
        *(sys.executable, "-m", "tp_core.cli", "config", "check", "configs/default.toml"),
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds + 1):
        for name, command in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            taken[name].append(time.perf_counter() - began)
    for name, command in COMMANDS.items():
        traced = [command[0], "-X", "importtime", *command[1:]]
        imported = subprocess.run(traced, check=True, capture_output=True, text=True).stderr
        torch = any(line.split("|")[-1].strip() == "torch" for line in imported.splitlines())
        median = statistics.median(taken[name][1:])  # the first round warms the disk
        print(f"{name:30} {median * 1e3:7.0f} ms{'  imports torch' if torch else ''}")


if __name__ == "__main__":
    main()
