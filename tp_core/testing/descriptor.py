"""Checks of descriptors: they load without torch, are complete, and survive a round trip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache

from tp_core.assembly.loading import load_class
from tp_core.config.components import resolve_spec
from tp_core.kernel.catalogue import Plugin
from tp_core.kernel.component import SITES
from tp_core.kernel.kinds import KINDS
from tp_core.kernel.options import Spec
from tp_core.testing.cases import Case
from tp_core.testing.registry import check
from tp_core.testing.results import PASSED, Finding
from tp_core.testing.variants import DEFAULTS

# None in sys.modules makes any import of torch fail, and the failure knows where it happened.
_LOAD_WITHOUT_TORCH = """
import sys
from tp_core.kernel.catalogue import Plugin, load
sys.modules["torch"] = None
print(load(Plugin(*sys.argv[1:])).broken)
"""


def _defaults(case: Case) -> bool:
    """Checks that don't depend on options run once."""
    return case.variant.text == DEFAULTS


@lru_cache
def _load_without_torch(plugin: Plugin) -> str:
    arguments = (plugin.distribution, plugin.version, plugin.entry, plugin.value)
    ended = subprocess.run(
        [sys.executable, "-c", _LOAD_WITHOUT_TORCH, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    return ended.stdout.strip() if not ended.returncode else ended.stderr.strip()


@check(*KINDS, when=_defaults)
def torch_free(case: Case) -> Finding:
    """The plugin's descriptors load without importing torch."""
    broken = _load_without_torch(case.registered.plugin)
    hint = "import only tp_core in descriptors; torch and tp_core.interfaces belong in the targets"
    return Finding(fault=f"{broken}; {hint}") if broken else PASSED


@check(*KINDS, when=_defaults)
def described(case: Case) -> Finding:
    """It has a one-line summary."""
    summary = case.registered.component.summary
    if not summary.strip() or len(summary.splitlines()) > 1:
        return Finding(fault=f"its summary must be one line, not {summary!r}")
    return PASSED


@check("positional_encoding", when=_defaults)
def needs_declared(case: Case) -> Finding:
    """The sites in its `needs` are those its class has methods for."""
    needs = set(case.registered.component.needs)
    cls = load_class(case.harness.resolved)
    has = {site for site in SITES if callable(getattr(cls, site, None))}
    if needs != has:
        shown = (", ".join(sorted(sites)) or "none" for sites in (needs, has))
        return Finding(fault="its needs are {}, but its class has methods for {}".format(*shown))
    return PASSED


@check(*KINDS)
def options_round_trip(case: Case) -> Finding:
    """Options are unchanged after a round trip through config.json."""
    resolved = case.harness.resolved
    text = json.dumps(resolved.options.model_dump(mode="json"), allow_nan=False)
    again = resolve_spec(case.catalogue, Spec(resolved.name, json.loads(text), resolved.kind))
    if again.options != resolved.options:
        return Finding(fault=f"{resolved.options!r} is read back as {again.options!r}")
    return PASSED
