"""Every built-in encoding with every built-in attention, with all their options, in every block.

The kit's checks prove a component among plain partners; these run the same checks on the components
among each other. Legal combinations must pass all of them, illegal ones must be refused for a
missing site or a size. Norms and MLPs, each with each of its options, go round through the
combinations, as every one of them has to stand somewhere.

    pytest -m heavy -n 2 -s tests/test_cross_product.py     # prints the largest differences
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tp_core.errors import ConfigError
from tp_core.kernel.catalogue import OWN
from tp_core.testing.cases import kit_catalogue
from tp_core.testing.harness import Harness, as_written, plan_of
from tp_core.testing.kit import run_check
from tp_core.testing.registry import CHECKS, Check
from tp_core.testing.variants import Variant, variants

CATALOGUE = kit_catalogue()
NAMES = (
    *("causality_gradient", "causality_change", "incremental", "packing", "left_pad"),
    *("pads_invisible", "idle_rows", "batch_invariance", "plain_path", "positions_not_index"),
    *("gradients", "state_reorder", "effect"),
)


# One encoding for each set of sites, for what is combined with blocks.
BY_SITE = ("none", "learned", "rope", "alibi", "fox")
SHARDS = 16


@dataclass(frozen=True, eq=False)
class Pair:
    """What the kit's checks ask of a case, for several components at once.

    `variant` is of the attention; where it is at its defaults, the encoding's effect is looked at.
    """

    encoding: dict[str, Any]
    attention: dict[str, Any]
    block: dict[str, Any]
    norm: dict[str, Any]
    mlp: dict[str, Any]
    variant: Variant
    name: str = "pair"
    kind: str = "attention"
    refusal: str = ""

    @property
    def id(self) -> str:
        parts = (self.encoding, self.attention, self.block, self.norm, self.mlp)
        return "+".join(",".join([part["name"], *_texts(part)]) for part in parts)

    def scene_with(self, attention: dict[str, Any]) -> Harness:
        around = {"block": self.block, "norm": self.norm, "mlp": self.mlp}
        chosen = {"positional_encoding": self.encoding, "attention": attention, **around}
        return Harness(self.kind, self.id, plan_of(CATALOGUE, **chosen))

    @property
    def harnesses(self) -> list[Harness]:
        return [self.scene_with(self.attention)]

    @property
    def harness(self) -> Harness:
        return self.harnesses[0]

    @property
    def reference(self) -> Harness:
        """Without the option of the attention that is varied; or else without the encoding."""
        if self.variant.option:
            return self.scene_with(as_written(self.attention["name"], self.variant.reference))
        return replace(self, encoding={"name": "none"}).scene_with(self.attention)

    @property
    def checks(self) -> list[Check]:
        idle = not self.variant.option and self.encoding["name"] == "none"
        # A router may send none of so few tokens to an expert, which then has no gradient.
        left_out = {"effect": idle, "gradients": self.mlp["name"] == "moe"}
        return [CHECKS[name] for name in NAMES if not left_out.get(name)]


def _texts(written: dict[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in written.items() if name != "name"]


def written(kind: str) -> list[tuple[dict[str, Any], Variant]]:
    """Every built-in component of a kind with every set of its options, as a config has it."""
    return [
        (as_written(one.component.name, variant.options), variant)
        for one in CATALOGUE.loaded(kind)
        if one.plugin.distribution == OWN
        for variant in variants(one.component)
    ]


def defaults(kind: str) -> list[tuple[dict[str, Any], Variant]]:
    return [(table, variant) for table, variant in written(kind) if not variant.option]


def pairs() -> Iterator[Pair]:
    """Encodings x attentions, with all options of either, and blocks with one of every sort."""
    norms = itertools.cycle([table for table, _ in written("norm")])
    mlps = itertools.cycle([table for table, _ in written("mlp")])
    (pre,) = [table for table, _ in written("block") if table["name"] == "pre"]
    blocks = [table for table, _ in written("block") if table != pre]
    varied = [(table, variant) for table, variant in written("positional_encoding")]
    usual = [table for table, _ in defaults("positional_encoding")]
    for encoding, (attention, variant) in itertools.product(usual, written("attention")):
        yield Pair(encoding, attention, pre, next(norms), next(mlps), variant)
    for (encoding, one), (attention, variant) in itertools.product(varied, defaults("attention")):
        if one.option:
            yield Pair(encoding, attention, pre, next(norms), next(mlps), variant)
    few = [table for table in usual if table["name"] in BY_SITE]
    for block, encoding, (attention, variant) in itertools.product(
        blocks, few, defaults("attention")
    ):
        yield Pair(encoding, attention, block, next(norms), next(mlps), variant)


ALL = list(pairs())


def judge(pair: Pair) -> tuple[str, dict[str, float]]:
    """`legal` with the largest difference of each check, or `refused`; fails on a failing check."""
    try:
        assert pair.harness.plan.layers
    except ConfigError as error:
        for problem in error.problems:
            assert "needs site" in problem.message or "must be even" in problem.message, problem
        return "refused", {}
    measured = {}
    for check in pair.checks:
        # Whether a check has anything to ask is its own rule for cases; pairs have theirs.
        result = run_check(pair, replace(check, applies=lambda case: True))
        assert result.status != "failed", f"{pair.id}: {check.name}: {result.message}"
        if result.measured is not None and check.name != "effect":
            measured[check.name] = result.measured
    return "legal", measured


@pytest.mark.heavy
@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_legal_combination_keeps_every_promise(shard: int) -> None:
    worst: dict[str, float] = {}
    counts = {"legal": 0, "refused": 0}
    failures = []
    for pair in ALL[shard::SHARDS]:
        try:
            verdict, measured = judge(pair)
        except AssertionError as failure:
            failures.append(str(failure))
            continue
        counts[verdict] += 1
        for name, value in measured.items():
            worst[name] = max(worst.get(name, 0.0), value)
    differences = ", ".join(f"{name} {value:.1e}" for name, value in worst.items())
    print(f"\nshard {shard}: {counts}, {len(failures)} failing; {differences}")
    assert not failures, "\n".join(failures)
    assert counts["legal"] > 0


def test_the_combinations_are_all_there() -> None:
    for kind in ("positional_encoding", "attention", "block", "norm", "mlp"):
        seen = [getattr(pair, kind.removeprefix("positional_")) for pair in ALL]
        assert all(table in seen for table, _ in written(kind)), kind
    assert sum(pair.encoding["name"] in BY_SITE for pair in ALL) > 100
    assert len({pair.id for pair in ALL}) == len(ALL)
    plain = [pair for pair in ALL if not pair.variant.option and pair.block["name"] == "pre"]
    names = {(pair.encoding["name"], pair.attention["name"]) for pair in plain}
    assert len(names) == len(defaults("positional_encoding")) * len(defaults("attention"))


@pytest.mark.parametrize("pair", ALL[::53], ids=lambda pair: pair.id)
def test_a_sample_of_the_combinations(pair: Pair) -> None:
    judge(pair)
