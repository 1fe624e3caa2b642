"""Every block of docs/writing-a-plugin.md, run in the order a reader meets it.

A block after a line that is a path in backticks is that file; a `bash` block is run line by line in
the directory the files are in; a `python` block without a path is run there too.
"""

from __future__ import annotations

import importlib
import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import tomli
import torch
import torch.nn.functional as F
from machine import Machine, build

from tp_core.cli import main
from tp_core.interfaces import KVCache, SequenceInfo
from tp_core.kernel.hookspecs import KINDS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "writing-a-plugin.md"
_BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    path: str
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    words: tuple[str, ...]
    code: int

    @classmethod
    def read(cls, line: str) -> Command:
        exits = re.search(r"# exits (\d+)$", line)
        return cls(tuple(shlex.split(line, comments=True)), int(exits[1]) if exits else 0)


def blocks() -> list[Block]:
    found = _BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    return [Block(path, language, text) for path, language, text in found]


def commands(block: Block) -> Iterator[Command]:
    yield from map(Command.read, filter(None, block.text.splitlines()))


def write(block: Block, here: Path) -> None:
    """A file of the reader's own; one that a command wrote must be shown as it is."""
    path = here / block.path
    if path.exists():
        assert path.read_text(encoding="utf-8") == block.text, f"{PAGE.name} shows another {path}"
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")


def pretend_installed(project: Path) -> None:
    """The metadata pip would write for an editable install."""
    data = tomli.loads((project / "pyproject.toml").read_text())["project"]
    name, version = data["name"], data["version"]
    info = project / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    entries = "".join(f"{k} = {v}\n" for k, v in data["entry-points"]["tp"].items())
    (info / "entry_points.txt").write_text(f"[tp]\n{entries}")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_every_block_is_of_a_sort_that_is_run() -> None:
    assert len(blocks()) > 20
    assert PAGE.read_text().count("\n```") == 2 * len(blocks())
    for block in blocks():
        assert block.language in ("python", "bash", "toml"), block
        assert block.path or block.language != "toml", block


def test_the_first_package_is_as_short_as_promised() -> None:
    package = [b for b in blocks() if b.path.startswith("tp-bilinear/tp_bilinear/")]
    assert len(package) == 2
    code = [line for block in package for line in block.text.splitlines() if line.strip()]
    assert len(code) <= 25


def test_it_shows_every_kind() -> None:
    assert {f"{kind}.py" for kind in KINDS} <= {Path(block.path).name for block in blocks()}


def test_the_page_works_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, packages put on the path in pip's place; the kit's hour comes below."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for block in blocks():
        if block.path:
            write(block, tmp_path)
            continue
        if block.language == "python":
            exec(compile(block.text, str(PAGE), "exec"), {})
            continue
        for command in commands(block):
            if command.words[:3] == ("pip", "install", "-e"):
                for project in (tmp_path / word for word in command.words[3::2]):
                    pretend_installed(project)
                    monkeypatch.syspath_prepend(str(project))
                    monkeypatch.setenv("PYTHONPATH", str(project), prepend=os.pathsep)
            elif command.words[0] == "tp" and command.words[1:3] != ("plugins", "test"):
                capsys.readouterr()
                code = main(command.words[1:])
                assert code == command.code, (command, capsys.readouterr())
    weighed = importlib.import_module("tp_workshop.weights").weighed
    q, k, v = torch.randn(3, 2, 4, 5, 8).unbind()
    seq = SequenceInfo.of_positions(torch.arange(5).expand(2, 5))
    cache = KVCache()
    by_hand = weighed(
        *(torch.empty(2, 5, 0), q, k.transpose(1, 2), v.transpose(1, 2)),
        *(cache, cache.encoding, seq, None, 8**-0.5),
    )
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(by_hand, expected)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.heavy
def test_the_page_works_where_nothing_else_is_installed(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.run("pip", "install", "--no-deps", "--no-index", build(ROOT, tmp_path / "wheels"))
    # One builder for all of them; left alone, pip would fetch one for each.
    machine.run("pip", "install", "hatchling", "editables")
    for block in blocks():
        if block.path:
            write(block, tmp_path)
            continue
        if block.language == "python":
            machine.run("python", "-c", block.text)
            continue
        for command in commands(block):
            words = list(command.words)
            if words == ["pip", "install", "build"]:  # borrowed
                continue
            if words[:2] == ["pip", "install"]:
                words[2:2] = ["--no-deps", "--no-build-isolation"]
            if words[:3] == ["python", "-m", "pytest"]:
                words += ["-q", "-n", "0"]
            machine.run(*words, code=command.code)
    assert list((tmp_path / "tp-bilinear" / "dist").glob("*.whl"))
