"""`--strict-plugins`: whether a plugin other than the one a run was trained with will do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tp_core.cli.terminal import note

if TYPE_CHECKING:
    from tp_core.runs.opening import LoadedRun

strict_plugins_option = click.option(
    "--strict-plugins",
    is_flag=True,
    help="Refuse plugins of another version or with other sources than the run's, not just warn.",
)


def note_plugin_drift(loaded: LoadedRun) -> None:
    """Say which plugins aren't those the run was trained with."""
    for sentence in loaded.plugin_drift:
        note(f"Warning: {sentence}")
