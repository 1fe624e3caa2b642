"""A virtual environment for tests of what is installed, and wheels to install there."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path


class Machine:
    """A virtual environment that has what tp depends on, and nothing of this checkout."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = home / "venv"
        venv.create(self.env, with_pip=True)
        # Torch is not installed a second time: the packages of this interpreter are borrowed, after
        # the environment's own, and without their .pth files, so an editable tp there is not seen.
        site = next(self.env.glob("lib/python*/site-packages"), self.env / "Lib/site-packages")
        (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"])

    def run(self, *command: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {
            k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")
        }
        environment |= {"TP_CACHE_DIR": str(self.home / "cache"), "OMP_NUM_THREADS": "1"}
        bin_dir = self.env / ("Scripts" if os.name == "nt" else "bin")
        words = [str(bin_dir / command[0]), *map(str, command[1:])]
        done = subprocess.run(
            words, cwd=self.home, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done


def build(source: Path, into: Path) -> Path:
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(into), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    return max(into.glob("*.whl"), key=lambda path: path.stat().st_mtime_ns)
