"""Check a component's descriptor and options. Torch-free."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from tp_core.config.components import resolve_spec
from tp_core.errors import TpError, did_you_mean
from tp_core.kernel.catalogue import Catalogue
from tp_core.kernel.component import SITES
from tp_core.kernel.loading import RegisteredComponent
from tp_core.kernel.options import Dims, Options, Spec
from tp_core.kernel.tracebacks import summary
from tp_core.plugin_check.findings import Finding
from tp_core.testing.variants import Variant, variants

# Arbitrary consistent sizes: only the form of the answers is checked.
_DIMS = Dims(dim=64, d_model=64, n_layers=2, n_heads=4, head_dim=16, max_seq_len=32, max_steps=100)


def descriptor_findings(
    registered: RegisteredComponent, hook_place: str, catalogue: Catalogue
) -> Iterator[Finding]:
    """Check one component's descriptor; `hook_place` is the place of its hook."""
    component, who = registered.component, f"{registered.kind} '{registered.component.name}'"
    if not component.summary.strip():
        yield Finding(hook_place, f"{who} has no summary", 'write Component(..., summary="...")')
    elif len(component.summary.splitlines()) > 1:
        yield Finding(hook_place, f"the summary of {who} has several lines", "shorten it to one")
    options_place = _place(component.options) or hook_place
    for variant in variants(component):
        for message in _variant_faults(registered, variant, catalogue):
            yield Finding(options_place, f"{who}: {message}")


def _variant_faults(
    registered: RegisteredComponent, variant: Variant, catalogue: Catalogue
) -> Iterator[str]:
    """Check one set of options."""
    if variant.fault:
        yield variant.fault
        return
    spec: Spec[Any] = Spec(registered.qualified, variant.options, registered.kind)
    try:
        options = resolve_spec(catalogue, spec).options
    except TpError as error:
        yield f"its options are rejected with {variant.text}: {_line(error)}"
        return
    try:
        written = json.loads(json.dumps(options.model_dump(mode="json"), allow_nan=False))
        again = resolve_spec(catalogue, Spec(spec.name, written, spec.kind)).options
    except (TpError, TypeError, ValueError) as error:
        yield f"its options can't be read back from config.json with {variant.text}: {_line(error)}"
        return
    if again != options:
        yield f"its options are read back from config.json as {again!r}, not {options!r}"
    try:
        yield from _answers(registered.kind, options)
    except Exception as error:  # the component's own code
        yield f"problems() or offers() raises with {variant.text}: {_line(error)}"


def _answers(kind: str, options: Options) -> Iterator[str]:
    problems = options.problems(_DIMS)
    if isinstance(problems, str) or not isinstance(problems, Iterable):
        yield f"problems() returns {problems!r:.60}, not a list of sentences"
    elif not all(isinstance(problem, str) for problem in problems):
        yield "problems() must only return strings"
    if kind != "attention":
        return
    offered = options.offers(_DIMS)
    if not isinstance(offered, Mapping):
        yield f"offers() returns {offered!r:.60}, not a table of sites"
        return
    known = {field.name for field in fields(Dims)}
    for site, dims in offered.items():
        if site not in SITES:
            near = did_you_mean(str(site), SITES) or f" The sites are {', '.join(SITES)}."
            yield f"offers() names {site!r}, which is not a site.{near}"
        elif not isinstance(dims, Mapping) or not known.issuperset(dims):
            yield f"offers() has {dims!r:.60} at '{site}', not sizes such as {{'head_dim': 8}}"


def _place(cls: type) -> str:
    """`file:line` of a class; empty for one without a source of its own."""
    try:
        if cls is Options:
            return ""
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return ""


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) if isinstance(error, TpError) else summary(error)
