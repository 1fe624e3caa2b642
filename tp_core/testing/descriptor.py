"""Checks of what stands in the descriptor: light to load, complete, and as good as its config."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache

from tp_core.component import SITES
from tp_core.config.resolve import resolve_spec
from tp_core.hookspecs import KINDS
from tp_core.interfaces.build import load_class
from tp_core.options import Spec
from tp_core.plugins import Plugin
from tp_core.testing.registry import check
from tp_core.testing.results import PASSED, Finding
from tp_core.testing.subjects import Subject
from tp_core.testing.variants import DEFAULTS

# None in sys.modules makes any import of torch fail, and the failure knows where it happened.
_LOAD_WITHOUT_TORCH = """
import sys
from tp_core.plugins import Plugin, load
sys.modules["torch"] = None
print(load(Plugin(*sys.argv[1:])).broken)
"""


def _defaults(subject: Subject) -> bool:
    """What doesn't depend on options is asked once."""
    return subject.variant.text == DEFAULTS


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
def torch_free(subject: Subject) -> Finding:
    """The plugin's descriptors load where torch can't be imported."""
    broken = _load_without_torch(subject.registered.plugin)
    hint = "descriptors import tp_core, and leave torch and tp_core.interfaces to their targets"
    return Finding(fault=f"{broken}; {hint}") if broken else PASSED


@check(*KINDS, when=_defaults)
def described(subject: Subject) -> Finding:
    """There is a summary, of one line."""
    summary = subject.registered.component.summary
    if not summary.strip() or len(summary.splitlines()) > 1:
        return Finding(fault=f"its summary must be one line, not {summary!r}")
    return PASSED


@check("positional_encoding", when=_defaults)
def needs_declared(subject: Subject) -> Finding:
    """The sites it says it needs are those its class has methods for."""
    needs = set(subject.registered.component.needs)
    cls = load_class(subject.scene.chosen)
    has = {site for site in SITES if callable(getattr(cls, site, None))}
    if needs != has:
        shown = (", ".join(sorted(sites)) or "none" for sites in (needs, has))
        return Finding(fault="declares needs {}; its methods are {}".format(*shown))
    return PASSED


@check(*KINDS)
def options_round_trip(subject: Subject) -> Finding:
    """Options written to config.json and read back are the same options."""
    chosen = subject.scene.chosen
    text = json.dumps(chosen.options.model_dump(mode="json"), allow_nan=False)
    again = resolve_spec(subject.catalogue, Spec(chosen.name, json.loads(text), chosen.kind))
    if again.options != chosen.options:
        return Finding(fault=f"{chosen.options!r} comes back as {again.options!r}")
    return PASSED
