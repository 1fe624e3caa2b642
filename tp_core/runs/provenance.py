"""What a run was made of: versions, sources, machine and data, for `provenance.json`.

Everything here looks and never runs: no plugin is imported to hash its sources, and what can't be
found out is null instead of an error, because a run without a git checkout is still a run.
Torch-free.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tp_core.config.plan import Plan

DISTRIBUTIONS = (
    "transformer-playground",
    "torch",
    "numpy",
    "sentencepiece",
    "pydantic",
    "pluggy",
)
GIT_TIMEOUT_S = 5


@dataclass(frozen=True)
class ComponentRecord:
    """One component a run uses, described well enough to install the very same one again.

    `name` is the qualified name, `options` the resolved ones as plain data, `source_sha256` and
    `direct_url` what the functions of those names say about the plugin and its distribution.
    """

    kind: str
    name: str
    distribution: str
    version: str
    target: str
    options: Mapping[str, Any]
    source_sha256: str | None
    direct_url: Mapping[str, Any] | None


def collect(
    components: Sequence[ComponentRecord | Mapping[str, Any]],
    data: Mapping[str, Any],
    *,
    torch_threads: int,
) -> dict[str, Any]:
    """The provenance of a run that starts now, as plain data ready for `write_json`.

    `data` describes the training data in the caller's words; `torch_threads` is
    `torch.get_num_threads()`, passed in so that nothing here imports torch. `created` is ISO 8601
    in UTC; versions and git facts that can't be had are null.
    """
    return {
        "created": datetime.now(timezone.utc).isoformat(),
        "command": list(sys.argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "torch_threads": torch_threads,
        "versions": {name: _version(name) for name in DISTRIBUTIONS},
        "git": _git_state(Path.cwd()),
        "components": [
            asdict(component) if isinstance(component, ComponentRecord) else dict(component)
            for component in components
        ],
        "data": dict(data),
    }


def source_sha256(name: str) -> str | None:
    """Hex SHA-256 over the `.py` files of the top-level package or module that `name` lies in.

    Hashed are, file by file in the order of their paths: the path relative to the package (with
    `/`), the length and the content. The package is located and not imported. None where there are
    no readable sources: an unknown name, an extension module, a zipped package.
    """
    try:
        # Only a top-level name can be located without importing what is above it.
        spec = importlib.util.find_spec(name.partition(".")[0])
        if spec is None:
            return None
        if spec.submodule_search_locations is not None:
            files = dict(_sources_below(map(Path, spec.submodule_search_locations)))
        else:
            path = Path(spec.origin or "")
            files = {path.name: path} if path.suffix == ".py" else {}
        digest = hashlib.sha256()
        for relative in sorted(files):
            content = files[relative].read_bytes()
            digest.update(f"{relative}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
            digest.update(content)
    except (ImportError, ValueError, OSError):
        return None
    return digest.hexdigest() if files else None


def direct_url(distribution_name: str) -> dict[str, Any] | None:
    """Where a distribution was installed from, if not from an index (PEP 610).

    An editable install shows up twice on `sys.path`, as metadata in the checkout and in
    site-packages, and only one of them has the record. None where neither does.
    """
    for distribution in importlib.metadata.distributions(name=distribution_name):
        try:
            record = json.loads(distribution.read_text("direct_url.json") or "null")
        except (ValueError, OSError):
            continue
        if isinstance(record, dict):
            return record
    return None


def _sources_below(roots: Iterator[Path]) -> Iterator[tuple[str, Path]]:
    # A namespace package has several roots; of two files of one name the first is the one imported.
    seen: set[str] = set()
    for root in roots:
        for path in root.rglob("*.py"):
            relative = path.relative_to(root).as_posix()
            if relative not in seen and path.is_file():
                seen.add(relative)
                yield relative, path


def _version(distribution_name: str) -> str | None:
    try:
        return importlib.metadata.version(distribution_name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_state(directory: Path) -> dict[str, Any]:
    """The commit checked out in `directory` and whether tracked files differ from it.

    Untracked files don't count: where runs are not ignored, every second run would be dirty.
    """
    unknown = {"commit": None, "dirty": None}
    try:
        status = subprocess.run(
            [
                "git",
                "--no-optional-locks",
                "-c",
                "core.fsmonitor=false",  # runs a program of the checkout's choice otherwise
                "status",
                "--porcelain=v2",
                "--branch",
                "--untracked-files=no",
            ],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError):
        return unknown
    lines = status.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), None)
    if commit is None or commit == "(initial)":
        return unknown
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}


def component_records(plan: Plan) -> list[ComponentRecord]:
    """Where each component of a plan comes from, as a run's provenance keeps it."""
    records = []
    for resolved in plan.components():
        plugin = resolved.registered.plugin
        records.append(
            ComponentRecord(
                kind=resolved.kind,
                name=resolved.name,
                distribution=plugin.distribution,
                version=plugin.version,
                target=resolved.registered.component.target,
                options=resolved.options.model_dump(mode="json"),
                source_sha256=source_sha256(plugin.value.partition(":")[0].partition(".")[0]),
                direct_url=direct_url(plugin.distribution),
            )
        )
    return records
