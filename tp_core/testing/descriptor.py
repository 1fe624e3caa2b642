"""Checks of what stands in the descriptor: light to load, complete, and as good as its config."""

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
    """What doesn't depend on options is asked once."""
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
    """The plugin's descriptors load where torch can't be imported."""
    broken = _load_without_torch(case.registered.plugin)
    hint = "descriptors import tp_core, and leave torch and tp_core.interfaces to their targets"
    return Finding(fault=f"{broken}; {hint}") if broken else PASSED


@check(*KINDS, when=_defaults)
def described(case: Case) -> Finding:
    """There is a summary, of one line."""
    summary = case.registered.component.summary
    if not summary.strip() or len(summary.splitlines()) > 1:
        return Finding(fault=f"its summary must be one line, not {summary!r}")
    return PASSED


@check("positional_encoding", when=_defaults)
def needs_declared(case: Case) -> Finding:
    """The sites it says it needs are those its class has methods for."""
    needs = set(case.registered.component.needs)
    cls = load_class(case.harness.resolved)
    has = {site for site in SITES if callable(getattr(cls, site, None))}
    if needs != has:
        shown = (", ".join(sorted(sites)) or "none" for sites in (needs, has))
        return Finding(fault="declares needs {}; its methods are {}".format(*shown))
    return PASSED


@check(*KINDS)
def options_round_trip(case: Case) -> Finding:
    """Options written to config.json and read back are the same options."""
    resolved = case.harness.resolved
    text = json.dumps(resolved.options.model_dump(mode="json"), allow_nan=False)
    again = resolve_spec(case.catalogue, Spec(resolved.name, json.loads(text), resolved.kind))
    if again.options != resolved.options:
        return Finding(fault=f"{resolved.options!r} comes back as {again.options!r}")
    return PASSED
