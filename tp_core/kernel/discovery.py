"""Find installed entry points of group `tp`, without running any plugin's code.

This reads the metadata of every installed package. A package with damaged metadata is skipped here
and reported by `damaged`.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from functools import cache
from importlib.metadata import Distribution

from packaging.utils import canonicalize_name

from tp_core.kernel.tracebacks import summary

GROUP = "tp"
OWN = "transformer-playground"

_ON_OWN = re.compile(r"transformer[-_.]+playground(?![\w.-])", re.IGNORECASE)


@dataclass(frozen=True)
class Plugin:
    """An entry point as found on disk.

    `requires` has the requirements of its distribution on tp. `fault` says why the entry points of
    a distribution can't be read; one `Plugin` then stands for all of them.
    """

    distribution: str
    version: str
    entry: str
    value: str
    requires: tuple[str, ...] = ()
    fault: str = ""

    @property
    def builtin(self) -> bool:
        return self.distribution == OWN


def discover() -> list[Plugin]:
    """Every entry point of group `tp`, built-ins first, then by distribution and name.

    An editable install can be on the path twice (checkout and site-packages): the first counts.
    """
    found: dict[tuple[str, str], Plugin] = {}
    for distribution in importlib.metadata.distributions():
        try:
            plugins = plugins_of(distribution)
        except Exception:  # damaged metadata can raise anything
            continue
        for plugin in plugins:
            found.setdefault((plugin.distribution, plugin.entry), plugin)
    return sorted(found.values(), key=lambda p: (not p.builtin, p.distribution, p.entry))


def plugins_of(distribution: Distribution) -> list[Plugin]:
    """The entry points of one distribution. Damaged metadata can raise anything."""
    # Skip files that don't mention the group, even if they can't be parsed.
    if f"[{GROUP}]" not in (distribution.read_text("entry_points.txt") or ""):
        return []
    headers = headers_of(distribution)
    if not headers["Name"] or not headers["Version"]:  # left behind by an interrupted uninstall
        return []
    name, version = canonicalize_name(headers["Name"]), headers["Version"]
    lines = headers.get_all("Requires-Dist") or []
    requires = tuple(line for line in map(str, lines) if _ON_OWN.match(line))
    try:
        entries = [entry for entry in distribution.entry_points if entry.group == GROUP]
    except Exception as fault:
        reason = f"its entry_points.txt can't be read ({summary(fault)}): {_again(name)}"
        return [Plugin(name, version, "?", "", requires, reason)]
    return [Plugin(name, version, entry.name, entry.value, requires) for entry in entries]


def headers_of(distribution: Distribution) -> Message:
    """A distribution's metadata headers, without the long description, which is slow to parse."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    return HeaderParser().parsestr(text.partition("\n\n")[0])


def damaged() -> Iterator[tuple[str, str]]:
    """Installed packages whose metadata can't be read: the path and the error."""
    for distribution in importlib.metadata.distributions():
        try:
            headers = headers_of(distribution)
            complete = headers["Name"] and headers["Version"]
            reason = "" if complete else "METADATA has no name or no version"
            tuple(distribution.entry_points)
        except Exception as fault:
            reason = summary(fault)
        if reason:
            yield str(getattr(distribution, "_path", "an installed package")), reason


def incompatibility(plugin: Plugin) -> str:
    """Why a plugin is incompatible with this version of tp; empty if it is compatible.

    Its distribution's dependencies say which versions it supports. pip checks them when it installs
    the distribution, but not when tp is upgraded later.
    """
    for wanted in filter(None, map(_unmet, plugin.requires)):
        return (
            f"requires {wanted}, but {own_version()} is installed: pip install '{wanted}', "
            f"or install another version of {plugin.distribution}"
        )
    return ""


@cache
def _unmet(line: str) -> str:
    """The requirement on tp in a line of metadata, if this version doesn't satisfy it."""
    from packaging.requirements import Requirement

    try:
        requirement = Requirement(line)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        fits = requirement.specifier.contains(own_version(), prereleases=True)
    except ValueError:  # an invalid requirement, which `tp plugins check` reports
        return ""
    return f"{OWN}{requirement.specifier}" if applies and not fits else ""


def _again(distribution: str) -> str:
    return f"pip install --force-reinstall {distribution}"


@cache
def own_version() -> str:
    """The installed version of tp; empty if it isn't installed."""
    try:
        return importlib.metadata.version(OWN)
    except importlib.metadata.PackageNotFoundError:
        return ""
