"""What pip needs to bring back the plugins of a run. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def requirements(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Requirement lines for pip that restore the distributions of a run's components.

    One from an index is pinned to its version; one from elsewhere is named as PEP 610 recorded it:
    a commit, an archive with its hash, a directory (editable: `-e`).
    """
    by_name = {str(record.get("distribution")): record for record in records}
    return [_requirement(name, record) for name, record in by_name.items()]


def _requirement(name: str, record: Mapping[str, Any]) -> str:
    origin = record.get("direct_url")
    url = origin.get("url") if isinstance(origin, Mapping) else None
    if not isinstance(origin, Mapping) or not isinstance(url, str):
        return f"{name}=={record.get('version')}"
    below = origin.get("subdirectory")
    marks = [f"subdirectory={below}"] if below else []
    vcs, archive = origin.get("vcs_info"), origin.get("archive_info")
    if isinstance(vcs, Mapping):
        url = f"{vcs.get('vcs')}+{url}@{vcs.get('commit_id')}"
    elif isinstance(archive, Mapping):
        hashes = archive.get("hashes")
        sha256 = hashes.get("sha256") if isinstance(hashes, Mapping) else None
        marks += [f"sha256={sha256}"] if sha256 else []
    elif isinstance(info := origin.get("dir_info"), Mapping) and info.get("editable"):
        return f"-e {url}"
    return f"{name} @ {url}" + (f"#{'&'.join(marks)}" if marks else "")
