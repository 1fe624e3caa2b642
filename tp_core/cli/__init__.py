"""The `tp` command: its table of subcommands, and the one place where a failure becomes words.

Nothing heavy is imported here: each subcommand lives in a module of its own, imported when it is
called for.
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

# When imported, pydantic and torch run code of whichever installed packages ask them to, and fail
# where the files of any package are damaged. What a config doesn't name isn't run.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")

COMMANDS = {
    "init": Lazy("tp_core.cli.init", "command", "Write a config and phrases to start from."),
    "train": Lazy("tp_core.cli.train", "command", "Train the model a config describes."),
    "generate": Lazy("tp_core.cli.generate", "command", "Sample phrases from a trained run."),
    "report": Lazy("tp_core.cli.report", "command", "Measure a run, beside held-out phrases."),
    "compare": Lazy("tp_core.cli.compare", "command", "Set runs side by side."),
    "plot-loss": Lazy("tp_core.cli.plot_loss", "command", "Draw the loss curves of runs."),
    "export": Lazy("tp_core.cli.export", "command", "Write a run's weights as safetensors."),
    "config": Lazy("tp_core.cli.config", "command", "Check a config without training."),
    "plugins": Lazy("tp_core.cli.plugins", "command", "List, write, check, test components."),
    "runs": Lazy("tp_core.cli.runs", "command", "List, describe and delete runs."),
}

cli = LazyGroup(COMMANDS, help="Train and sample small decoder-only transformers made of plugins.")
click.version_option(
    package_name="transformer-playground", prog_name="tp", message="%(prog)s %(version)s"
)(cli)

# A fault that surfaces inside one of these was caused by whoever called it.
_LIBRARIES = frozenset(
    (
        *("click", "filelock", "matplotlib", "numpy", "packaging", "pluggy", "pydantic"),
        *("pydantic_core", "rich", "sentencepiece", "tomli", "torch"),
    )
)


def main(args: Sequence[str] | None = None) -> int:
    """Run `tp` with `args` (the process's own if None) and return its exit code.

    0 done, 1 failed, 2 usage or config, 3 diverged, 130 or 143 interrupted; a command may end with
    another through `SystemExit`.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # A terminal or pipe that isn't UTF-8 gets '\u03c0' for a π, not a traceback.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(args, prog_name="tp", standalone_mode=False)
        if sys.stdout is not None:  # None where the caller closed it
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough
        discard_stdout()
        return 1
    except Exception as fault:
        return _report(fault)
    except KeyboardInterrupt as fault:
        return _report(fault)
    return code if isinstance(code, int) else 0


def _report(fault: BaseException) -> int:
    """Say on stderr what went wrong; the exit code for it."""
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
            _say("`tp init DIR` writes a complete config to start from")
        return fault.exit_code
    if isinstance(fault, TpError):
        _say(f"Error: {fault}")
        return fault.exit_code
    if _reads_metadata(fault):
        from tp_core.kernel.discovery import damaged

        for place, reason in damaged():
            _say(
                f"Error: a library reads what is installed, and fails at {place} ({reason}): "
                "reinstall that package, or remove it"
            )
            return 1
    # The innermost frame that is neither Python's own nor a library's.
    culprit = raised_at(fault, outside=_LIBRARIES | sys.stdlib_module_names) or "?"
    _say(
        f"internal error: {summary(fault)} ({culprit}); {TRACEBACK}=1 shows all of it, "
        "please report"
    )
    return 1


def _reads_metadata(fault: BaseException) -> bool:
    return any(module_of(frame) == "importlib.metadata" for frame, _ in frames(fault))


def _say(text: str) -> None:
    click.echo(clean(text), err=True)
