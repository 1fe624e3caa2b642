"""Check a distribution's metadata, without running any of its code."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from packaging.utils import canonicalize_name

from tp_core.kernel.discovery import GROUP, Plugin, headers_of, incompatibility
from tp_core.plugin_check.findings import Finding


@dataclass(frozen=True)
class Checkout:
    """The directory an editable install points at, and what its pyproject.toml says.

    `declared` are the entry points of group `tp` there; `version` is empty where it is dynamic,
    `fault` says why the file can't be read.
    """

    path: Path
    declared: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    fault: str = ""


def installed() -> dict[str, Distribution]:
    """Every distribution whose metadata can be read, by its name; the first on the path counts."""
    found: dict[str, Distribution] = {}
    for distribution in importlib.metadata.distributions():
        name = _name(distribution)
        if name:
            found.setdefault(name, distribution)
    return found


def editable_checkouts() -> dict[str, Checkout]:
    """The checkout of every distribution that is installed editably from one with a pyproject."""
    found: dict[str, Checkout] = {}
    for distribution in importlib.metadata.distributions():
        try:
            record = json.loads(distribution.read_text("direct_url.json") or "null")
        except (ValueError, OSError):
            continue
        name, path = _name(distribution), _editable_path(record)
        if name and path is not None and (path / "pyproject.toml").is_file():
            found[name] = _read(path)
    return found


def findings(plugins: Sequence[Plugin], checkout: Checkout | None) -> Iterator[Finding]:
    """What is wrong with the metadata of one distribution's plugins."""
    for plugin in plugins[:1]:
        place = f"{plugin.distribution} {plugin.version}"
        reason = incompatibility(plugin)
        if reason:
            yield Finding(place, reason, stops=True)
        for line in plugin.requires:
            yield from _invalid(place, line)
    if checkout is not None:
        yield from _stale(plugins, checkout)


def _invalid(place: str, line: str) -> Iterator[Finding]:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        Requirement(line)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        yield Finding(place, f"requires {line!r}, which is not a valid requirement: {reason}")


def _stale(plugins: Sequence[Plugin], checkout: Checkout) -> Iterator[Finding]:
    """How the installed metadata differs from the checkout's pyproject.toml."""
    place, again = str(checkout.path / "pyproject.toml"), f"pip install -e {checkout.path}"
    if checkout.fault:
        yield Finding(place, f"can't be read: {checkout.fault}")
        return
    have = {plugin.entry: plugin.value for plugin in plugins}
    for entry, value in checkout.declared.items():
        line = f'entry point {entry} = "{value}"'
        if entry not in have:
            yield Finding(place, f"{line} isn't in the installed metadata", f"reinstall: {again}")
        elif have[entry] != value:
            yield Finding(place, f'{line} is installed as "{have[entry]}"', f"reinstall: {again}")
    for entry in have:
        if entry not in checkout.declared:
            yield Finding(
                place,
                f"doesn't declare entry point '{entry}', which is installed",
                f"reinstall: {again}",
            )
    versions = {plugin.version for plugin in plugins}
    if checkout.version and versions and checkout.version not in versions:
        yield Finding(
            place,
            f"declares version {checkout.version}, but {', '.join(versions)} is installed",
            f"reinstall: {again}",
        )


def _name(distribution: Distribution) -> str:
    try:
        headers = headers_of(distribution)
        return canonicalize_name(headers["Name"]) if headers["Version"] else ""
    except Exception:  # damaged files raise anything
        return ""


def _editable_path(record: Any) -> Path | None:
    """Where a PEP 610 record points, if it is of an editable install."""
    if not isinstance(record, dict) or not isinstance(record.get("url"), str):
        return None
    info, url = record.get("dir_info"), urlparse(record["url"])
    editable = isinstance(info, dict) and info.get("editable") is True
    return Path(url2pathname(url.path)) if editable and url.scheme == "file" else None


def _read(path: Path) -> Checkout:
    import tomli

    try:
        data = tomli.loads((path / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return Checkout(path, fault=" ".join(str(error).split()))
    project = data.get("project")
    project = project if isinstance(project, dict) else {}
    groups = project.get("entry-points")
    declared = groups.get(GROUP) if isinstance(groups, dict) else None
    version = project.get("version")
    return Checkout(
        path,
        {str(k): str(v) for k, v in declared.items()} if isinstance(declared, dict) else {},
        version if isinstance(version, str) else "",
    )
