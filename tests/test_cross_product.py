"""Every built-in encoding with every built-in attention, with all its options, in every block.

The kit's checks prove a component among plain partners; these run the same checks on the components
among each other. Legal pairs must pass all of them, illegal ones must be refused for a missing site
or a size. A summary is printed at the end: `pytest -m heavy -rA tests/test_cross_product.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tp_core.errors import ConfigError
from tp_core.plugins import OWN
from tp_core.testing.kit import run_check
from tp_core.testing.registry import CHECKS, Check
from tp_core.testing.scenes import Scene, as_written, plan_of
from tp_core.testing.subjects import kit_catalogue
from tp_core.testing.variants import Variant, variants

CATALOGUE = kit_catalogue()
NAMES = (
    *("causality_gradient", "causality_change", "incremental", "packing", "left_pad"),
    *("pads_invisible", "idle_rows", "batch_invariance", "plain_path", "positions_not_index"),
    *("gradients", "state_reorder", "effect"),
)


@dataclass(frozen=True, eq=False)
class Pair:
    """What the kit's checks ask of a subject, for two components and a block at once."""

    encoding: dict[str, Any]
    attention: dict[str, Any]
    block: str
    variant: Variant
    name: str = "pair"
    kind: str = "attention"
    refusal: str = ""

    @property
    def id(self) -> str:
        encoding = ",".join([self.encoding["name"], *_texts(self.encoding)])
        return f"{encoding}+{self.attention['name']}({self.variant.text})+{self.block}"

    def scene_with(self, attention: dict[str, Any]) -> Scene:
        chosen = {"positional_encoding": self.encoding, "attention": attention, "block": self.block}
        return Scene(self.kind, self.id, plan_of(CATALOGUE, **chosen))

    @property
    def scenes(self) -> list[Scene]:
        return [self.scene_with(self.attention)]

    @property
    def scene(self) -> Scene:
        return self.scenes[0]

    @property
    def reference(self) -> Scene:
        """Without the option of the attention that is varied; or else without the encoding."""
        if self.variant.option:
            return self.scene_with(as_written(self.attention["name"], self.variant.reference))
        return replace(self, encoding={"name": "none"}).scene_with(self.attention)

    @property
    def checks(self) -> list[Check]:
        idle = not self.variant.option and self.encoding["name"] == "none"
        return [CHECKS[name] for name in NAMES if not (idle and name == "effect")]


def _texts(written: dict[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in written.items() if name != "name"]


def pairs() -> Iterator[Pair]:
    kinds = ("positional_encoding", "attention", "block")
    built_in = {
        kind: [r.component for r in CATALOGUE.loaded(kind) if r.plugin.distribution == OWN]
        for kind in kinds
    }
    encodings = [
        as_written(component.name, variant.options)
        for component in built_in["positional_encoding"]
        for variant in variants(component)
    ]
    attentions = [
        (as_written(component.name, variant.options), variant)
        for component in built_in["attention"]
        for variant in variants(component)
    ]
    blocks = [component.name for component in built_in["block"]]
    for encoding, (attention, variant), block in itertools.product(encodings, attentions, blocks):
        yield Pair(encoding, attention, block, variant)


ALL = list(pairs())


def judge(pair: Pair) -> tuple[str, dict[str, float]]:
    """`legal` with the largest difference of each check, or `refused`; fails on a failing check."""
    try:
        assert pair.scene.plan.layers
    except ConfigError as error:
        for problem in error.problems:
            assert "needs site" in problem.message or "must be even" in problem.message, problem
        return "refused", {}
    measured = {}
    for check in pair.checks:
        # Whether a check has anything to ask is its own rule for subjects; pairs have theirs.
        result = run_check(pair, replace(check, applies=lambda subject: True))
        assert result.status != "failed", f"{pair.id}: {check.name}: {result.message}"
        if result.measured is not None and check.name != "effect":
            measured[check.name] = result.measured
    return "legal", measured


@pytest.mark.heavy
def test_every_legal_pair_keeps_every_promise(capsys: pytest.CaptureFixture[str]) -> None:
    worst: dict[str, float] = {}
    counts = {"legal": 0, "refused": 0}
    failures = []
    for pair in ALL:
        try:
            verdict, measured = judge(pair)
        except AssertionError as failure:
            failures.append(str(failure))
            continue
        counts[verdict] += 1
        for name, value in measured.items():
            worst[name] = max(worst.get(name, 0.0), value)
    with capsys.disabled():
        print(f"\n{len(ALL)} combinations: {counts['legal']} legal, {counts['refused']} refused, ")
        print(f"{len(failures)} failing; largest relative difference of each check:")
        for name, value in worst.items():
            print(f"  {name:20} {value:.1e}")
    assert not failures, "\n".join(failures)
    assert counts["legal"] >= 150


@pytest.mark.parametrize("pair", ALL[::29], ids=lambda pair: pair.id)
def test_a_sample_of_the_pairs(pair: Pair) -> None:
    judge(pair)
