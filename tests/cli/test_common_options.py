"""Every option is explained, and one that several commands have is the same in each."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from tp_core.cli import cli

# They name a run to be made, or several runs.
DIFFERENT = {"--run-id": ("train", "plot-loss")}


def commands(command: click.Command, *path: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from commands(inner, *path, name)


COMMANDS = dict(commands(cli))


def options(name: str) -> list[click.Option]:
    return [one for one in COMMANDS[name].params if isinstance(one, click.Option)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(name: str) -> None:
    assert [one.opts for one in options(name) if not one.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_text_is_a_sentence(name: str) -> None:
    texts = [one.help for one in options(name) if one.help]
    assert [text for text in texts if not (text[0].isupper() and text.endswith("."))] == []


def test_an_option_says_the_same_in_every_command() -> None:
    texts: dict[str, set[str | None]] = {}
    for name in COMMANDS:
        for one in options(name):
            if name not in DIFFERENT.get(one.opts[0], ()):
                texts.setdefault(one.opts[0], set()).add(one.help)
    del texts["--out"]  # a file or a directory
    assert {flag: said for flag, said in texts.items() if len(said) > 1} == {}


def test_what_is_left_out_is_the_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        COMMANDS["generate"].main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "Maximum number of tokens to generate. [default: (the run's); x>=1]" in text
    assert "Random seed. [default: (the run's); x>=0]" in text
