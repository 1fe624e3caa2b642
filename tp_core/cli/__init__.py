"""The `tp` command: its table of subcommands, and how errors become messages and exit codes.

Nothing heavy is imported here: each subcommand lives in its own module, imported when invoked.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

from tp_core.cli.command_groups import Lazy, LazyGroup
from tp_core.cli.terminal import clean, discard_stdout
from tp_core.errors import ConfigError, TpError
from tp_core.kernel.tracebacks import frames, module_of, raised_at, summary

TRACEBACK = "TP_TRACEBACK"

# On import, pydantic and torch load plugins from any installed package, and fail if one of them is
# damaged. tp runs only code that the config names.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")

COMMANDS = {
    "init": Lazy("tp_core.cli.init", "command", "Create a starter config and dataset."),
    "train": Lazy("tp_core.cli.train", "command", "Train a model from a config."),
    "generate": Lazy("tp_core.cli.generate", "command", "Generate text from a trained run."),
    "report": Lazy("tp_core.cli.report", "command", "Evaluate a run and its samples."),
    "compare": Lazy("tp_core.cli.compare", "command", "Compare runs side by side."),
    "plot-loss": Lazy("tp_core.cli.plot_loss", "command", "Plot the loss curves of runs."),
    "export": Lazy("tp_core.cli.export", "command", "Export a run's weights as safetensors."),
    "config": Lazy("tp_core.cli.config", "command", "Check a config without training."),
    "plugins": Lazy("tp_core.cli.plugins", "command", "List, create, check and test components."),
    "runs": Lazy("tp_core.cli.runs", "command", "List, show and delete runs."),
}

cli = LazyGroup(
    COMMANDS, help="Train and sample small decoder-only transformers built from plugins."
)
click.version_option(
    package_name="transformer-playground", prog_name="tp", message="%(prog)s %(version)s"
)(cli)

# An error raised inside one of these libraries is attributed to the code that called it.
_LIBRARIES = frozenset(
    (
        *("click", "filelock", "matplotlib", "numpy", "packaging", "pluggy", "pydantic"),
        *("pydantic_core", "rich", "sentencepiece", "tomli", "torch"),
    )
)


def main(args: Sequence[str] | None = None) -> int:
    """Run `tp` with `args` (`sys.argv` if None) and return its exit code.

    0 success, 1 failure, 2 usage or config error, 3 diverged, 130 or 143 interrupted; a command may
    exit with another code through `SystemExit`.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # A terminal or pipe that isn't UTF-8 gets '\u03c0' for a π, not a traceback.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(args, prog_name="tp", standalone_mode=False)
        if sys.stdout is not None:  # None if the caller closed it
            sys.stdout.flush()
    except BrokenPipeError:  # the reader closed the pipe, like `head`
        discard_stdout()
        return 1
    except Exception as fault:
        return _report(fault)
    except KeyboardInterrupt as fault:
        return _report(fault)
    return code if isinstance(code, int) else 0


def _report(fault: BaseException) -> int:
    """Print the error on stderr and return the exit code for it."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(fault)
    if isinstance(fault, click.ClickException):
        fault.show()
        return fault.exit_code
    if isinstance(fault, (KeyboardInterrupt, click.Abort)):
        _say("Interrupted.")
        return 130
    if isinstance(fault, ConfigError):
        count = len(fault.problems)
        _say(f"Error: {count} problem{'s' if count != 1 else ''} in the config:\n{fault}")
        if sum(problem.missing for problem in fault.problems) > 2:
            _say("hint: `tp init DIR` writes a complete config to start from")
        return fault.exit_code
    if isinstance(fault, TpError):
        _say(f"Error: {fault}")
        return fault.exit_code
    if _reads_metadata(fault):
        from tp_core.kernel.discovery import damaged

        for place, reason in damaged():
            _say(
                f"Error: the metadata of an installed package is damaged: {place} ({reason}); "
                "reinstall or uninstall that package"
            )
            return 1
    # The innermost frame that is neither Python's own nor a library's.
    culprit = raised_at(fault, outside=_LIBRARIES | sys.stdlib_module_names) or "?"
    _say(
        f"internal error: {summary(fault)} ({culprit}); this is a bug, please report it "
        f"(set {TRACEBACK}=1 to see the full traceback)"
    )
    return 1


def _reads_metadata(fault: BaseException) -> bool:
    return any(module_of(frame) == "importlib.metadata" for frame, _ in frames(fault))


def _say(text: str) -> None:
    click.echo(clean(text), err=True)
