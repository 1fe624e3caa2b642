"""Check installed plugins: the findings of `tp plugins check`, as data.

Checks the metadata of a distribution, its descriptors and its targets; the latter two in a
subprocess, to contain whatever a plugin does on import. What the components compute is tested by
the conformance kit. Doesn't import torch in this process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from tp_core.errors import TpError, did_you_mean
from tp_core.kernel.catalogue import Catalogue
from tp_core.kernel.discovery import GROUP, OWN, Plugin, damaged
from tp_core.plugin_check import metadata
from tp_core.plugin_check.findings import DistributionCheck, Finding
from tp_core.plugin_check.process import probe

__all__ = ["Finding", "Report", "check_distribution", "check_everything"]


def check_distribution(name: str) -> DistributionCheck:
    """Check one distribution, even if disabled. Raises `TpError` if it isn't installed."""
    name = canonicalize_name(name)
    installed = metadata.installed()
    if name not in installed:
        near = did_you_mean(name, [p.distribution for p in Catalogue().plugins])
        raise TpError(
            f"no distribution '{name}' is installed.{near} "
            f"To install it: pip install -e DIRECTORY, or pip install {name}"
        )
    plugins = [p for p in Catalogue(disable="").plugins if p.distribution == name]
    return _report(name, installed[name].version, plugins, metadata.editable_checkouts().get(name))


def check_everything() -> Iterator[DistributionCheck]:
    """Check every distribution that provides plugins and isn't disabled."""
    catalogue = Catalogue()
    checkouts = metadata.editable_checkouts()
    declaring = [name for name, checkout in checkouts.items() if checkout.declared]
    names = dict.fromkeys([*(p.distribution for p in catalogue.plugins), *sorted(declaring)])
    installed = metadata.installed()
    for name in names:
        if name not in catalogue.disabled:
            plugins = [p for p in catalogue.plugins if p.distribution == name]
            yield _report(name, installed[name].version, plugins, checkouts.get(name))
    for place, reason in damaged():
        finding = Finding(place, f"its metadata can't be read, so tp ignores it: {reason}")
        yield DistributionCheck(Path(place).name, "", (), (finding.as_warning(),))


def _report(
    name: str, version: str, plugins: Sequence[Plugin], checkout: metadata.Checkout | None
) -> DistributionCheck:
    findings = list(metadata.findings(plugins, checkout))
    if not plugins and not findings:
        findings.append(
            Finding(
                f"{name} {version}",
                f"has no entry point of group '{GROUP}'",
                f"add [project.entry-points.{GROUP}] to its pyproject.toml and install it again",
            )
        )
    components: tuple[tuple[str, str], ...] = ()
    if plugins and not any(f.stops for f in findings):
        components, found = probe(plugins)
        findings += found
    if name != OWN and plugins and not any(p.requires for p in plugins):
        findings.append(
            Finding(
                f"{name} {version}",
                "doesn't declare which versions of tp it supports",
                f'add dependencies = ["{OWN}>=..."] to its pyproject.toml and install it again',
            ).as_warning()
        )
    return DistributionCheck(name, version, components, tuple(findings))
