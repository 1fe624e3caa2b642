"""Detect differences between installed plugins and those a run was trained with. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tp_core.kernel.catalogue import Plugin
from tp_core.runs.provenance import source_sha256


def plugin_drift(
    run_id: str, records: Sequence[Mapping[str, Any]], plugins: Iterable[Plugin]
) -> list[str]:
    """A sentence for each distribution whose version or sources differ from a run's `records`.

    `plugins` are those the run's components come from as installed; nothing of them is imported.
    """
    found = []
    recorded = {str(record.get("distribution")): record for record in records}
    for plugin in {plugin.distribution: plugin for plugin in plugins}.values():
        record = recorded.get(plugin.distribution)
        if record is None:
            continue
        name, then = plugin.distribution, record.get("version")
        if then != plugin.version:
            found.append(
                f"run '{run_id}' was trained with {name} {then}, but {plugin.version} is "
                f"installed; to restore it: pip install {name}=={then}"
            )
            continue
        sha256 = record.get("source_sha256")
        if sha256 is not None and sha256 != plugin_sha256(plugin):
            found.append(
                f"run '{run_id}' was trained with {name} {then}, whose installed sources have "
                "changed since: its components may behave differently"
            )
    return found


def plugin_sha256(plugin: Plugin) -> str | None:
    """The hash of the sources an entry point leads to, as provenance records it."""
    return source_sha256(plugin.value.partition(":")[0].partition(".")[0])
