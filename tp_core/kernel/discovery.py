"""From what is installed to entry points of group `tp`, before any plugin's code runs.

The files of every installed package are read for this, and whatever is wrong with one of them is
that package's own affair: it is passed over here, and `damaged` tells of it.
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

    `requires` are those lines of its distribution's metadata that say which tp it is for. `fault`
    says why the entry points can't be read, where one stands for all of them.
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

    An editable install shows up twice on the path (checkout and site-packages): the first counts.
    """
    found: dict[tuple[str, str], Plugin] = {}
    for distribution in importlib.metadata.distributions():
        try:
            plugins = plugins_of(distribution)
        except Exception:  # its files can be anything, and so can what reading them raises
            continue
        for plugin in plugins:
            found.setdefault((plugin.distribution, plugin.entry), plugin)
    return sorted(found.values(), key=lambda p: (not p.builtin, p.distribution, p.entry))


def plugins_of(distribution: Distribution) -> list[Plugin]:
    """The entry points of one distribution. Raises whatever its files cause to be raised."""
    # A file that doesn't speak of the group is nothing to tp, parsable or not.
    if f"[{GROUP}]" not in (distribution.read_text("entry_points.txt") or ""):
        return []
    headers = headers_of(distribution)
    if not headers["Name"] or not headers["Version"]:  # what an interrupted uninstall left
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
    """A distribution's metadata, less the long text that follows it and is slow to parse."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    return HeaderParser().parsestr(text.partition("\n\n")[0])


def damaged() -> Iterator[tuple[str, str]]:
    """Installed packages whose metadata can't be read: where it is, and what reading it raised."""
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
    """Why a plugin isn't made for the tp that runs; empty where it is, or doesn't say.

    What it is made for stands in its distribution's dependencies, which pip heeds when it installs
    that distribution, and forgets when tp is changed later.
    """
    for wanted in filter(None, map(_unmet, plugin.requires)):
        return (
            f"needs {wanted}, and this is {own_version()}: pip install '{wanted}', "
            f"or another version of {plugin.distribution}"
        )
    return ""


@cache
def _unmet(line: str) -> str:
    """The requirement on tp in a line of metadata, if the tp that runs doesn't meet it."""
    from packaging.requirements import Requirement

    try:
        requirement = Requirement(line)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        fits = requirement.specifier.contains(own_version(), prereleases=True)
    except ValueError:  # its own or an invalid version; `tp plugins check` tells
        return ""
    return f"{OWN}{requirement.specifier}" if applies and not fits else ""


def _again(distribution: str) -> str:
    return f"pip install --force-reinstall {distribution}"


@cache
def own_version() -> str:
    """The version of tp that runs; empty where it runs without being installed."""
    try:
        return importlib.metadata.version(OWN)
    except importlib.metadata.PackageNotFoundError:
        return ""
