"""`tp plugins check`: check installed plugins. Torch is imported in a subprocess only."""

from __future__ import annotations

import click

from tp_core.cli import options
from tp_core.cli.terminal import emit, emit_json, note
from tp_core.errors import RunFailed


@click.command("check", short_help="Check installed plugins.")
@click.argument("distribution", required=False)
@options.as_json
def command(distribution: str | None, as_json: bool) -> None:
    """Check the plugins of DISTRIBUTION, or of all installed distributions.

    Reports invalid names, missing summaries, options without a description or that don't survive
    a round trip through a config file, targets that can't be imported or lack a method, sites that
    don't match the methods, plugins that import torch when listed, and editable installs that are
    out of date with their pyproject.toml. To test what the components compute, use
    `tp plugins test`. Exits with 1 if there are errors.
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
                emit(f"{who}: {count} component{'s' if count != 1 else ''}, no problems found")
    errors = sum(report.errors for report in reports)
    if as_json:
        emit_json({"ok": not errors, "distributions": [report.as_data() for report in reports]})
    if errors:
        raise RunFailed(f"{errors} error{'s' if errors != 1 else ''}")
    if one and not as_json:
        note(f"next, test what its components compute: tp plugins test {distribution}")
