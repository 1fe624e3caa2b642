"""`tp plugins check`: is what is installed fit to be used? Torch stays in another process."""

from __future__ import annotations

import click

from tp_core.cli import options
from tp_core.cli.terminal import emit, emit_json, note
from tp_core.errors import RunFailed


@click.command("check")
@click.argument("distribution", required=False)
@options.as_json
def command(distribution: str | None, as_json: bool) -> None:
    """Check the metadata, descriptors and targets of DISTRIBUTION, or of all there are.

    Found are bad names, missing summaries, options that are undescribed or don't survive a config
    file, targets that can't be imported or lack a method, sites that don't match the methods, torch
    where it has no business, and an editable install that is behind its pyproject.toml. What the
    components compute is tested by `tp plugins test`. The exit code is 1 if there is any error.
    """
    from tp_core.plugin_check import check_distribution, check_everything

    one = distribution is not None
    reports = []
    for report in [check_distribution(distribution)] if distribution else check_everything():
        reports.append(report)
        if not as_json:
            who = f"{report.distribution} {report.version}".strip()
            for finding in report.findings:
                emit(f"{report.distribution}: {finding.level}: {finding}")
            if not report.findings:
                count = len(report.components)
                emit(f"{who}: {count} component{'s' if count != 1 else ''}, nothing wrong")
    errors = sum(report.errors for report in reports)
    if as_json:
        emit_json({"ok": not errors, "distributions": [report.as_data() for report in reports]})
    if errors:
        raise RunFailed(f"{errors} error{'s' if errors != 1 else ''}")
    if one and not as_json:
        note(f"what its components compute: tp plugins test {distribution}")
