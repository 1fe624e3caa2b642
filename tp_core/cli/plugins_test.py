"""`tp plugins test`: run the conformance tests on an installed distribution. Imports torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tp_core.cli import options
from tp_core.cli.terminal import emit, emit_json, emit_table, note
from tp_core.errors import RunFailed

if TYPE_CHECKING:
    from tp_core.testing import CheckResult


@click.command("test")
@click.argument("distribution")
@options.kind
@click.option("--name", help="Only test the component with this name.")
@options.as_json
def command(distribution: str, kind: str | None, name: str | None, as_json: bool) -> None:
    """Run the conformance tests on the components of DISTRIBUTION.

    Each component is tested with its default options, then with each option at other values.
    Exits with 1 if any check fails.
    """
    from tp_core.testing import run_conformance

    seen: list[tuple[str, str]] = []

    def progress(result: CheckResult) -> None:
        component = (result.kind, result.component)
        if component not in seen:
            seen.append(component)
            note(f"testing {' '.join(component)}")

    results = run_conformance(
        distribution,
        kinds=None if kind is None else [kind],
        names=None if name is None else [name],
        progress=progress,
    )
    if as_json:
        emit_json(
            {"distribution": distribution, "results": [result.as_data() for result in results]}
        )
    else:
        _print(results, seen)
    failed = sum(result.status == "failed" for result in results)
    if failed:
        raise RunFailed(f"{failed} of {len(results)} checks failed")


def _print(results: Sequence[CheckResult], components: Sequence[tuple[str, str]]) -> None:
    counts = Counter((r.kind, r.component, str(r.status)) for r in results)
    statuses = ("passed", "failed", "not-applicable")
    emit_table(
        ("kind", "component", *statuses),
        [
            (kind, name, *(str(counts[kind, name, status]) for status in statuses))
            for kind, name in components
        ],
        right=statuses,
    )
    for result in results:
        if result.status == "failed":
            emit(
                f"\n{result.kind} '{result.component}', {result.variant}: {result.check}"
                f"\n  {result.message}"
            )
