"""Checks that what a model is asked for acts: the encoding at every site, the dropout."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from tp_core.testing.cases import Case
from tp_core.testing.forward_passes import difference, stream, through_block, training
from tp_core.testing.generators import drawing_from
from tp_core.testing.harness import Harness, plan_of
from tp_core.testing.inputs import LENGTH, PATHS, SIZES, full_rows, noise, some_tokens
from tp_core.testing.partners import partner
from tp_core.testing.registry import check, harness_check
from tp_core.testing.results import PASSED, Finding, NotApplicable

# A site that is used moves the logits by more than this share of their size: 0.14 is the least that
# was measured (alibi, whose gentlest slopes are gentle), and one that is ignored gives exactly 0.
SITE_THRESHOLD = 1e-3


def _offers_a_site(case: Case) -> bool:
    needs = case.registered.component.needs
    return case.kind == "attention" or bool(needs)


@check("attention", "positional_encoding", when=_offers_a_site)
def site_used(case: Case) -> Finding:
    """An encoding changes the output, at every site the attention offers, on every path.

    The measured figure is the least change; it must be above the tolerance.
    """
    least = math.inf
    # The first harness of an attention has an encoding that does nothing.
    for harness in case.harnesses[1:] if case.kind == "attention" else case.harnesses:
        without = _without_encoding(case, harness)
        for path, logits in _by_path(harness).items():
            change = difference(logits, without[path])
            least = min(least, change)
            if not change > SITE_THRESHOLD:
                where = f"{harness.label}: " if harness.label else ""
                fault = (
                    f"{where}the positional encoding changes the output by {change:.3g} ({path})"
                )
                return Finding(fault, change, SITE_THRESHOLD)
    if least == math.inf:
        raise NotApplicable("offers no site")
    return Finding(measured=least, tolerance=SITE_THRESHOLD)


def _without_encoding(case: Case, harness: Harness) -> Mapping[str, Tensor]:
    if case.kind == "attention":
        return _by_path(case.harness)
    attention = harness.plan.layers[0]["attention"].spec.as_data()
    plan = plan_of(case.catalogue, attention=attention, positional_encoding=partner("bare"))
    return _by_path(Harness(harness.kind, harness.label, plan))


def _by_path(harness: Harness) -> Mapping[str, Tensor]:
    tokens = some_tokens(2)
    with torch.no_grad():
        found = {path: harness.model(tokens, make(2))[0] for path, make in PATHS.items()}
        found["streamed"] = stream(harness.model, tokens, full_rows(2).positions, [1] * LENGTH)
    return found


@harness_check("block")
def residual_dropout(harness: Harness) -> Finding:
    """The config's dropout acts on what a block adds, in training."""
    model = harness.build_model(dropout=0.5)
    x = noise("x", 2, LENGTH, SIZES["d_model"])
    block = model.blocks[0]
    outputs = []
    for seed in (0, 1):
        with training(block), torch.no_grad(), drawing_from(seed):
            outputs.append(through_block(block, x, full_rows(2))[0])
    if torch.equal(*outputs):
        return Finding(fault="model.dropout = 0.5 changes nothing; apply nn.Dropout(ctx.dropout)")
    return PASSED
