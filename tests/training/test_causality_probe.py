"""A model that looks ahead is not trained, unless one insists."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from tp_core.config.plan import Plan, load_plan
from tp_core.errors import TpError
from tp_core.model.decoder import Decoder
from tp_core.runs.directory import claim_run
from tp_core.training.causality_probe import find_leak, probe_causality
from tp_core.training.session import start
from tp_core.training.setup import make_setup

ROOT = Path(__file__).parents[2]
SMALL = ("model.d_model=16", "model.n_layers=2", "model.n_heads=2", "model.max_seq_len=48")


def plan_with(*sets: str) -> Plan:
    data = f"data.path={ROOT / 'phrases.txt'}"
    return load_plan(ROOT / "configs" / "default.toml", [*SMALL, data, *sets])


def probe(sets: Sequence[str], *, allowed: bool = False) -> str:
    plan = plan_with(*sets)
    return probe_causality(Decoder(plan, 64), plan.components(), allowed=allowed)


@pytest.mark.parametrize(
    ("setting", "culprit"),
    [
        ("model.attention=unmasked", "attention 'tp-leaky:unmasked'"),
        ("model.norm=over_time", "norm 'tp-leaky:over_time'"),
        ("model.norm=detached", "norm 'tp-leaky:detached'"),
        ("model.norm=in_training", "norm 'tp-leaky:in_training'"),
        ("model.mlp=shifted", "mlp 'tp-leaky:shifted'"),
        ("model.positional_encoding=ahead", "the model"),
    ],
)
def test_a_leak_is_refused_and_its_component_named(
    install: Callable[..., None], setting: str, culprit: str
) -> None:
    install("tp-leaky")
    with pytest.raises(TpError, match="lets tokens see later ones") as refusal:
        probe([setting])
    assert culprit in str(refusal.value).splitlines()[0]
    assert "train.allow_leak = true" in str(refusal.value)


def test_a_leak_in_a_single_layer_of_a_pattern_is_found(install: Callable[..., None]) -> None:
    install("tp-leaky")
    pattern = ['model.pattern=["plain", "odd"]', "model.layers.odd.attention=unmasked"]
    with pytest.raises(TpError, match="tp-leaky:unmasked"):
        probe(pattern)


def test_an_honest_foreign_component_passes(install: Callable[..., None]) -> None:
    install("tp-leaky")
    assert probe(["model.norm=fine"]) == "no leak"


def test_built_in_models_are_not_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert probe([]) == "built-in components only"


def test_built_in_components_would_pass() -> None:
    for sets in ([], ["model.attention=linear"], ["model.attention=mla"], ["model.mlp=moe"]):
        plan = plan_with(*sets)
        assert find_leak(Decoder(plan, 64), plan.components()) is None


def test_probing_changes_neither_the_model_nor_the_random_state(
    install: Callable[..., None],
) -> None:
    install("tp-leaky")
    plan = plan_with("model.norm=fine", "model.mlp=moe", "model.mlp.bias_rate=0.1")
    model = Decoder(plan, 64)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    probe_causality(model, plan.components(), allowed=False)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(random_state, torch.get_rng_state())
    assert model.training


def test_a_refused_run_leaves_nothing_and_an_allowed_one_says_so(
    install: Callable[..., None], tmp_path: Path
) -> None:
    install("tp-leaky")
    with pytest.raises(TpError):
        make_setup(plan_with("model.mlp=shifted"))
    bench = make_setup(plan_with("model.mlp=shifted", "train.allow_leak=true"))
    assert not list(tmp_path.iterdir())
    start(bench, claim_run(tmp_path, "allowed")).close()
    recorded = json.loads((tmp_path / "allowed" / "provenance.json").read_text())["causality_probe"]
    assert "mlp 'tp-leaky:shifted' lets tokens see later ones" in recorded
    assert "allow_leak = true" in recorded
