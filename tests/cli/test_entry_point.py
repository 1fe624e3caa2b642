"""The `tp` command itself: its help, what it imports, and how failures end."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from cli_runner import TP, Run

from tp_core.cli import COMMANDS, cli
from tp_core.cli.command_groups import Lazy
from tp_core.errors import ConfigError, Diverged, Problem, RunFailed, TpError

DEFAULT = Path(__file__).parents[2] / "configs" / "default.toml"

Failing = Callable[[Callable[[], object]], None]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Adds a command `fail` that calls what it is given."""

    def add(action: Callable[[], object]) -> None:
        @click.command()
        def command() -> None:
            action()

        module = types.ModuleType("a_failing_command")
        module.__dict__["command"] = command
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.table, "fail", Lazy(module.__name__, "command", "Fail."))

    return add


def raiser(fault: BaseException) -> Callable[[], object]:
    def action() -> None:
        raise fault

    return action


def imported(*commands: list[str]) -> tuple[list[int], set[str]]:
    """The exit codes of commands run one after the other in a fresh process, and its modules."""
    script = (
        "import json, sys\n"
        "from tp_core.cli import main\n"
        "codes = [main(args) for args in json.loads(sys.argv[1])]\n"
        "print(json.dumps([codes, sorted(sys.modules)]), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=True,
    )
    codes, modules = json.loads(done.stderr.splitlines()[-1])
    return codes, set(modules)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_in_the_table_is_there(name: str) -> None:
    lazy = COMMANDS[name]
    command = getattr(importlib.import_module(lazy.module), lazy.attribute)
    assert isinstance(command, click.Command)


def test_help_lists_the_commands(tp: Run) -> None:
    done = tp("--help")
    assert done.code == 0
    for name, lazy in COMMANDS.items():
        assert any(
            line.split()[:1] == [name] and lazy.help in line for line in done.out.splitlines()
        )


def test_help_imports_nothing_heavy() -> None:
    codes, modules = imported(["--help"], ["--version"], ["no-such-command"])
    assert codes == [0, 0, 2]
    heavy = {
        "torch",
        "numpy",
        "pydantic",
        "rich",
        "tomli",
        "sentencepiece",
        "tp_core.kernel.catalogue",
    }
    assert heavy.isdisjoint(modules)


def test_commands_that_only_look_import_no_torch(tmp_path: Path) -> None:
    runs = ["--runs-dir", str(tmp_path)]
    (tmp_path / "a-run" / "checkpoints").mkdir(parents=True)
    codes, modules = imported(
        ["plugins", "list"],
        ["plugins", "list", "--json"],
        ["plugins", "show", "softmax"],
        ["plugins", "show", "none"],
        ["config", "check", str(DEFAULT)],
        ["config", "check", str(DEFAULT), "--set", "model.n_heads=7"],
        ["runs", "list", *runs],
        ["runs", "show", "latest", *runs],
        ["init", str(tmp_path / "new")],
        ["train", "--help"],
        ["generate", "--help"],
    )
    assert codes == [0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0]
    assert "tp_plugins" in modules
    assert {"torch", "numpy", "sentencepiece", "rich"}.isdisjoint(modules)


def test_version(tp: Run) -> None:
    done = tp("--version")
    assert (done.code, done.out) == (
        0,
        f"tp {importlib.metadata.version('transformer-playground')}\n",
    )


def test_the_console_script_is_this_function() -> None:
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="tp")
    assert script.value == "tp_core.cli:main"


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["plugin"], "no command 'plugin'. Did you mean 'plugins'?"),
        (["plugins", "lits"], "no command 'lits'. Did you mean 'list'?"),
        (["frobnicate"], "no command 'frobnicate'. Available commands: init, train,"),
        (["plugins", "list", "--knd", "norm"], "Did you mean"),
        (["plugins", "list", "--kind", "nrm"], "'nrm' is not one of"),
        (["plugins", "show"], "Missing argument 'NAME'"),
        (["--nope"], "--nope"),
    ],
)
def test_usage_errors(tp: Run, args: list[str], hint: str) -> None:
    done = tp(*args)
    assert done.code == 2
    assert done.out == ""
    assert hint in done.err
    assert "Usage: tp" in done.err


@pytest.mark.parametrize(
    ("fault", "code"), [(TpError("so"), 2), (RunFailed("so"), 1), (Diverged("so"), 3)]
)
def test_expected_failures_end_in_one_line(
    tp: Run, failing: Failing, fault: TpError, code: int
) -> None:
    failing(raiser(fault))
    done = tp("fail")
    assert (done.code, done.out, done.err) == (code, "", "Error: so\n")


def test_a_config_error_has_a_count_and_a_line_for_each_problem(tp: Run, failing: Failing) -> None:
    problems = [Problem("model.norm", "is odd", "a.toml:3"), Problem("train", "is \x1b[31mred")]
    failing(raiser(ConfigError(problems)))
    done = tp("fail")
    assert done.code == 2
    assert done.err == (
        "Error: 2 problems in the config:\na.toml:3: model.norm: is odd\ntrain: is \\x1b[31mred\n"
    )


def test_a_bug_is_named_with_its_place(tp: Run, failing: Failing) -> None:
    # What raises is the library; what is at fault is the caller, the lambda in this file.
    failing(lambda: json.loads("{"))
    done = tp("fail")
    assert done.code == 1
    assert done.err.startswith("internal error: JSONDecodeError: Expecting property name")
    assert f"({__file__}:" in done.err
    assert done.err.endswith("please report it (set TP_TRACEBACK=1 to see the full traceback)\n")
    assert done.err.count("\n") == 1


def test_an_interrupt_ends_with_130(tp: Run, failing: Failing) -> None:
    failing(raiser(KeyboardInterrupt()))
    done = tp("fail")
    assert done.code == 130
    assert "Traceback" not in done.err


def test_a_command_may_choose_its_exit_code(tp: Run, failing: Failing) -> None:
    failing(lambda: click.get_current_context().exit(5))
    assert tp("fail").code == 5
    failing(raiser(SystemExit(143)))
    with pytest.raises(SystemExit, match="143"):
        tp("fail")


@pytest.mark.parametrize(
    "fault",
    [TpError("so"), ConfigError([]), ValueError("so"), KeyboardInterrupt(), click.UsageError("so")],
)
def test_traceback_variable_shows_all_of_it(
    tp: Run,
    failing: Failing,
    monkeypatch: pytest.MonkeyPatch,
    fault: BaseException,
) -> None:
    failing(raiser(fault))
    assert "Traceback" not in tp("fail").err
    monkeypatch.setenv("TP_TRACEBACK", "1")
    err = tp("fail").err
    assert "Traceback (most recent call last)" in err
    assert "raise fault" in err


LATE = """
import sys, types, click
from tp_core.cli import cli, main
from tp_core.cli.command_groups import Lazy
module = sys.modules["late"] = types.ModuleType("late")
module.command = click.Command("late", callback=lambda: print("x"))
cli.table["late"] = Lazy("late", "command", "Print, and leave it in the buffer.")
sys.exit(main(["late"]))
"""


@pytest.mark.parametrize("process", [[*TP, "plugins", "list"], [sys.executable, "-c", LATE]])
def test_a_reader_that_has_seen_enough_is_no_error(process: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(process, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_full_disk_is_said(option: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*TP, "plugins", "list", *option],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: cannot write to stdout: No space left")
    assert done.stderr.count("\n") == 1


def test_an_output_that_is_not_utf8_gets_escapes() -> None:
    done = subprocess.run(
        [*TP, "plugins", "show", "rope"],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u03c0" in done.stdout
