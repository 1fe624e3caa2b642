"""What a plugin may do wrong, the message each prints, and that nobody else notices.

Every case is a distribution on disk. `pytest -s tests/test_isolation.py` prints the table of cases
and messages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from pathlib import Path

import pytest
from tiny_runs import TP, lines, python_path, train, write_config

from tp_core.cli import main
from tp_core.kernel.catalogue import OWN
from tp_core.runs.directory import RunDir

HERE = Path(__file__).parents[1]
DEFAULT = HERE.parent / "configs" / "default.toml"
PHRASES = HERE.parent / "phrases.txt"

Install = Callable[..., None]


@dataclass(frozen=True)
class Case:
    """A distribution, what is done that needs it, and what must be said.

    `ask` is empty where listing says it, else `section.key=component` for a training; the exit code
    of that training is `code`.
    """

    what: str
    distributions: tuple[str, ...]
    says: tuple[str, ...]
    ask: str = ""
    code: int = 2
    status: str = "broken"
    entry: str = ""


def listed(what: str, distribution: str, *says: str, **more: str) -> Case:
    return Case(what, (distribution,), says, **more)


def asked(what: str, distribution: str, ask: str, *says: str, code: int = 2) -> Case:
    return Case(what, (distribution,), says, ask, code)


CASES = [
    listed("raises at import", "tp-raises", "FileNotFoundError", "tp_raises.py:5"),
    listed("calls sys.exit at import", "tp-exits", "called sys.exit(7)", "tp_exits.py:5"),
    listed("syntax error", "tp-syntax", "SyntaxError", "tp_syntax.py:7"),
    listed(
        "missing dependency",
        "tp-missing-dependency",
        "No module named 'a_library_nobody_has'",
        "pip install a_library_nobody_has",
        "tp_needy.py:3",
    ),
    listed("package gone", "tp-gone", "No module named 'tp_gone'", "--force-reinstall tp-gone"),
    listed("unknown hook name", "tp-unknown-hook", "'tp_norm'", "Did you mean 'tp_norms'?"),
    listed("hook without @hookimpl", "tp-unmarked", "no component (missing @hookimpl?)"),
    listed("hook raises", "tp-hook-raises", "ValueError: first line", "tp_hook_raises.py:8"),
    listed("hook returns None", "tp-rubbish", "returned None", "missing return?", entry="nothing"),
    listed("hook returns text", "tp-rubbish", "not a list of Component", entry="text"),
    listed("hook returns other things", "tp-rubbish", "which is no Component", entry="items"),
    listed("one name twice in a plugin", "tp-duplicate", "called 'double'", entry="twice"),
    listed("one name twice in a distribution", "tp-duplicate", "by entry point 'one'", entry="two"),
    listed("option without a description", "tp-undescribed", "'eps' has no description"),
    listed("name that can't be", "tp-bad-name", "'Rms-Norm' must match"),
    listed("entry_points.txt damaged", "tp-damaged", "can't be read", "--force-reinstall"),
    listed(
        "made for a later tp",
        "tp-future",
        "needs transformer-playground>=99",
        "pip install",
        status="incompatible",
    ),
    Case(
        "two distributions with one name",
        ("tp-alpha", "tp-beta"),
        ("write 'tp-alpha:wave' or 'tp-beta:wave'",),
        "model.norm=wave",
    ),
    asked("broken, asked for", "tp-exits", "model.norm=tp-exits:x", "broken: called sys.exit(7)"),
    asked("later tp, asked for", "tp-future", "model.norm=tp-future:x", "incompatible: needs"),
    asked(
        "damaged, asked for", "tp-damaged", "model.norm=tp-damaged:x", "entry_points.txt can't be"
    ),
    asked(
        "target's module missing",
        "tp-targetless",
        "model.norm=no_module",
        "norm 'tp-targetless:no_module' target 'tp_targetless_model:Norm' can't be imported",
    ),
    asked(
        "target's class missing",
        "tp-targetless",
        "model.norm=no_class",
        "norm 'tp-targetless:no_class' target 'tp_targetless:Norm' can't be imported",
    ),
    asked(
        "constructor raises",
        "tp-unbuildable",
        "model.norm=unbuildable",
        "norm 'tp-unbuildable:unbuildable' can't be built: KeyError: 'large'",
        "tp_unbuildable.py:8",
    ),
    asked(
        "forward with the wrong shape",
        "tp-misshapen",
        "model.mlp=misshapen",
        "mlp 'tp-misshapen:misshapen'",
        "forward() returned shape (2, 4, 8), not (2, 4, 16)",
        "tp_misshapen_model.py:8",
    ),
    asked(
        "forward with the wrong dtype",
        "tp-mistyped",
        "model.mlp=mistyped",
        "returned torch.float64, not torch.float32",
        "tp_mistyped_model.py:8",
    ),
    asked(
        "NaN in forward",
        "tp-nan",
        "model.mlp=tp-nan:nan",
        "forward() returned NaN",
        "tp_nan_model.py:8",
    ),
]

# These have nothing wrong of their own to say; nobody else may notice them either.
QUIET = ["tp-shadow", "tp-eager", "tp-noisy", "damaged-entry-points", "damaged-encoding"]


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[dict[str, str]]:
    """Messages by case, printed at the end."""
    said: dict[str, str] = {}
    yield said
    width = max(map(len, said), default=0)
    print()
    for what, message in said.items():
        print(f"{what:<{width}}  {message}")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TP_DISABLE_PLUGINS", raising=False)
    monkeypatch.delenv("TP_TRACEBACK", raising=False)


def tp(capsys: pytest.CaptureFixture[str], *args: str | Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    capsys.readouterr()
    code = main([str(arg) for arg in args])
    return code, *capsys.readouterr()


def short(text: str) -> str:
    """A message, with what depends on the checkout left out."""
    return " ".join(text.replace(f"{HERE}/distributions/", "").split())


@pytest.mark.parametrize("case", [c for c in CASES if not c.ask], ids=lambda case: case.what)
def test_it_is_listed_with_its_reason(
    case: Case, install: Install, capsys: pytest.CaptureFixture[str], table: dict[str, str]
) -> None:
    install(*case.distributions)
    code, out, err = tp(capsys, "plugins", "list", "--json")
    assert code == 0
    assert "Traceback" not in err
    rows = [r for r in json.loads(out)["components"] if r["distribution"] in case.distributions]
    (row,) = [r for r in rows if not case.entry or r["name"] == case.entry]
    table[case.what] = f"{row['status']}: {short(row['summary'])}"
    assert (row["kind"], row["status"]) == (None, case.status)
    assert [says for says in case.says if says not in row["summary"]] == []
    assert "\n" not in row["summary"]
    assert (row["import_ms"] is None) == (case.status == "incompatible")


@pytest.mark.parametrize("case", [c for c in CASES if c.ask], ids=lambda case: case.what)
def test_a_training_that_asks_for_it_is_refused(
    case: Case,
    install: Install,
    capsys: pytest.CaptureFixture[str],
    table: dict[str, str],
    tmp_path: Path,
) -> None:
    install(*case.distributions)
    runs = tmp_path / "runs"
    start = ("train", "--config", write_config(tmp_path), "--runs-dir", runs)
    code, out, err = tp(capsys, *start, "--set", case.ask)
    message = err[err.index("Error: ") + len("Error: ") :]
    table[case.what] = short(message.partition("\n  TP_TRACEBACK")[0])
    assert (code, out) == (case.code, "")
    assert [says for says in case.says if says not in message] == []
    assert "Traceback" not in err
    assert len(message.strip().splitlines()) <= 3
    assert not runs.exists()


def test_a_built_in_that_is_shadowed_stays(
    install: Install, capsys: pytest.CaptureFixture[str], table: dict[str, str], tmp_path: Path
) -> None:
    install("tp-shadow")
    _, out, _ = tp(capsys, "plugins", "list", "--json")
    (row,) = [r for r in json.loads(out)["components"] if r["distribution"] == "tp-shadow"]
    _, out, _ = tp(capsys, "plugins", "show", "tp-shadow:rmsnorm")
    (line,) = [line for line in out.splitlines() if line.startswith("  status")]
    table["shadows a built-in"] = line.split(maxsplit=1)[1]
    assert row["status"] == "shadowed"
    assert "write 'tp-shadow:rmsnorm'" in line


EVERYONE = list(dict.fromkeys([*(d for case in CASES for d in case.distributions), *QUIET]))


@lru_cache
def alone(folder: Path) -> tuple[str, str, str]:
    """What a list, a check and a training say and do where nothing else is installed."""
    return _doings(folder, "alone")


def _doings(folder: Path, run_id: str) -> tuple[str, str, str]:
    said = []
    for command in (["plugins", "list", "--json"], ["config", "check", str(DEFAULT)]):
        sys.stdout, before = StringIO(), sys.stdout
        try:
            assert main(command) == 0
        finally:
            sys.stdout, text = before, sys.stdout.getvalue()
        said.append(text)
    rows = [r for r in json.loads(said[0])["components"] if r["distribution"] == OWN]
    timeless = [{**row, "import_ms": None, "imports_torch": None} for row in rows]
    run: RunDir = train(folder, run_id)
    return json.dumps(timeless), said[1], json.dumps(lines(run.metrics_path))


@pytest.mark.parametrize("distribution", EVERYONE)
def test_who_does_not_need_it_does_not_notice(
    distribution: str,
    install: Install,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = alone(tmp_path_factory.getbasetemp() / "alone")
    install(distribution)
    assert _doings(tmp_path, "beside") == expected
    assert "Traceback" not in capsys.readouterr().err


def test_all_of_them_at_once(
    install: Install, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = alone(tmp_path_factory.getbasetemp() / "alone")
    install(*EVERYONE)
    assert _doings(tmp_path, "beside") == expected


# Before any of tp's code runs, libraries read what is installed


def fresh(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`tp` in a process of its own, with two packages of damaged metadata on its path."""
    path = python_path(*(HERE / "distributions" / name for name in QUIET if "damaged" in name))
    return subprocess.run(
        [*TP, *args],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "args",
    [
        ("--version",),
        ("plugins", "list"),
        ("plugins", "show", "softmax"),
        ("config", "check", str(DEFAULT)),
        ("train", "--config", str(DEFAULT), "--dry-run", "--set", f"data.path={PHRASES}"),
    ],
    ids=lambda args: " ".join(args[:2]),
)
def test_damaged_metadata_of_others_stops_no_command(args: tuple[str, ...]) -> None:
    done = fresh(*args)
    assert (done.returncode, done.stderr) == (0, "")


def test_damaged_metadata_is_named_where_a_library_stumbles_over_it(
    table: dict[str, str],
) -> None:
    done = fresh("plugins", "list", PYDANTIC_DISABLE_PLUGINS="")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "the metadata of an installed package is damaged: " in done.stderr
    assert "-1.0.dist-info (" in done.stderr
    table["a library stumbles over damaged metadata"] = short(done.stderr)
