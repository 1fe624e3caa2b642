"""The kit catches what it is for: broken components and a broken core, each by the check named for
it, which the same component passes when it isn't broken."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from mutants import core

from tp_core.kernel.catalogue import Catalogue, Plugin
from tp_core.testing import CheckResult, run_conformance
from tp_core.testing.partners import DISTRIBUTION, PLUGINS
from tp_core.testing.registry import CHECKS

MUTANTS = Plugin("tp-mutants", "1", "mutants", "mutants")
HEAVY = Plugin("tp-heavy", "1", "heavy", "mutants.imports_torch")


@dataclass(frozen=True)
class Mutant:
    """A broken component, the check that must catch it, and the correct one beside it."""

    kind: str
    name: str
    check: str
    correct: str = "minimal"

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}"


COMPONENTS = (
    # See what they shouldn't.
    Mutant("attention", "peeks_ahead", "causality_gradient"),
    Mutant("attention", "adds_boolean_mask", "causality_gradient"),
    Mutant("block", "centres_over_time", "causality_change"),
    Mutant("norm", "over_time", "token_local_gradient"),
    Mutant("norm", "over_time_detached", "token_local_change"),
    Mutant("norm", "over_batch", "batch_invariance"),
    Mutant("mlp", "mixes_rows", "batch_invariance"),
    # State.
    Mutant("attention", "drops_state", "incremental", "recurrent"),
    Mutant("attention", "counts_idle_steps", "idle_rows", "recurrent"),
    Mutant("attention", "counts_idle_steps", "pads_invisible", "recurrent"),
    Mutant("attention", "never_resets", "packing", "recurrent"),
    Mutant("attention", "batch_last", "state_reorder", "recurrent"),
    Mutant("attention", "fixed_state_type", "bf16_autocast", "recurrent"),
    Mutant("attention", "shifts_without_state", "incremental"),
    Mutant("attention", "keeps_everything", "window_state"),
    Mutant("attention", "forgets_window_when_causal_only", "plain_path"),
    Mutant("attention", "sharp_in_bf16", "bf16_autocast"),
    # Positions.
    Mutant("positional_encoding", "rotates_by_index", "positions_not_index", "at_rotate"),
    Mutant("positional_encoding", "embeds_by_index", "left_pad", "at_embed"),
    Mutant("positional_encoding", "undeclared_site", "needs_declared", "at_rotate"),
    Mutant("positional_encoding", "bias_without_heads", "shapes", "at_bias"),
    # Tensors.
    Mutant("norm", "dead_parameter", "gradients"),
    Mutant("norm", "loose_tensor", "tensors_registered"),
    Mutant("norm", "loose_parameter", "state_dict_round_trip"),
    Mutant("norm", "in_place", "inputs_kept"),
    Mutant("norm", "uncopied", "deepcopy"),
    Mutant("mlp", "own_generator", "seed_used"),
    Mutant("mlp", "numpy_start", "seed_determinism"),
    Mutant("mlp", "dropout_always", "evaluation_repeats"),
    Mutant("mlp", "double", "shapes"),
    Mutant("mlp", "z_loss_of_pads", "auxiliary_loss", "z_loss"),
    Mutant("block", "no_dropout", "residual_dropout"),
    # Options and descriptors.
    Mutant("norm", "unused_option", "effect", "scaled"),
    Mutant("norm", "unvaried_option", "effect", "scaled"),
    Mutant("norm", "lost_option", "options_round_trip", "scaled"),
    Mutant("norm", "refused_option", "builds"),
    Mutant("norm", "undescribed", "described"),
    Mutant("norm", "heavy", "torch_free"),
    # Samplers.
    Mutant("sampler", "keeps_nothing", "keeps_something"),
    Mutant("sampler", "depends_on_batch", "batch_independence"),
    Mutant("sampler", "revives", "support"),
    Mutant("sampler", "overflows", "valid_distribution"),
    Mutant("sampler", "in_place", "purity"),
    Mutant("sampler", "prefers_low_ids", "permutation"),
    Mutant("sampler", "global_generator", "seed", "gumbel"),
    Mutant("sampler", "fixed_numbers", "seed", "gumbel"),
    Mutant("sampler", "memory_batch_last", "sampler_state", "memory"),
    Mutant("sampler", "reads_onward", "history_bounds"),
    Mutant("sampler", "cuts_at_one", "limits", "top_p"),
    # Metrics, optimizers, schedules, callbacks.
    Mutant("metric", "nan_of_nothing", "computes", "mean_length"),
    Mutant("metric", "headline_of_nothing", "headlines", "mean_length"),
    Mutant("metric", "headline_of_words", "headlines", "mean_length"),
    Mutant("metric", "mean_of_others", "sample_means", "mean_length"),
    Mutant("metric", "one_short", "sample_means", "mean_length"),
    Mutant("metric", "undeclared", "samples_declared", "mean_length"),
    Mutant("metric", "first_counts", "sample_order", "mean_length"),
    Mutant("metric", "unmoved_values", "sample_order", "mean_length"),
    Mutant("optimizer", "skips_scalars", "descends"),
    Mutant("optimizer", "one_rate", "rates_respected"),
    Mutant("optimizer", "no_decay", "decay_respected"),
    Mutant("optimizer", "unsaved_momentum", "resumes"),
    Mutant("schedule", "below_zero", "factors"),
    Mutant("schedule", "counts_calls", "stateless"),
    Mutant("callback", "misspelt_event", "events_known", "curve"),
    Mutant("callback", "stops_while_watching", "events_known", "curve"),
    Mutant("callback", "keeps_a_set", "state_saved", "curve"),
    Mutant("callback", "forgets_its_state", "state_saved"),
    Mutant("callback", "forgets_its_state", "goes_on"),
    Mutant("callback", "unkept_counter", "goes_on"),
    Mutant("callback", "stops_by_chance", "repeats"),
    Mutant("callback", "stops_by_the_clock", "repeats"),
    Mutant("callback", "draws_numbers", "repeats", "curve"),
    Mutant("callback", "changes_weights", "training_kept", "curve"),
    Mutant("callback", "draws_numbers", "training_kept", "curve"),
    Mutant("callback", "never_restores", "training_kept", "ema"),
    Mutant("callback", "undeclared_file", "files_declared", "curve"),
    Mutant("callback", "file_beside", "files_declared", "curve"),
)

# A fault in the core: the check that must catch it, and the partner it is caught on.
CORE = {
    "document_mask_missing": ("packing", "attention", "minimal"),
    "pad_keys_visible": ("pads_invisible", "attention", "minimal"),
    "window_off_by_one": ("window_bounds", "attention", "minimal"),
    "causal_by_index_with_a_cache": ("incremental", "attention", "minimal"),
    "cache_one_short": ("window_bounds", "attention", "minimal"),
    "evicts_by_slot": ("idle_rows", "attention", "minimal"),
    "bias_dropped": ("site_used", "attention", "minimal"),
    "score_sees_no_state": ("incremental", "positional_encoding", "at_score"),
    "start_not_forked": ("seed_determinism", "mlp", "minimal"),
    "start_ignores_seed": ("seed_used", "mlp", "minimal"),
}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    from tp_core.kernel.catalogue import discover

    return Catalogue([*discover(), *PLUGINS, MUTANTS, HEAVY], disable="")


def results(catalogue: Catalogue, kind: str, name: str, check: str) -> list[CheckResult]:
    """The results of one check on the one component of that name, whoever brings it."""
    for distribution in (DISTRIBUTION, MUTANTS.distribution, HEAVY.distribution):
        loaded = catalogue.load_distribution(distribution)
        assert not any(one.broken for one in loaded), loaded
        if any((c.kind, c.component.name) == (kind, name) for o in loaded for c in o.components):
            break
    else:
        distribution = "transformer-playground"
    return run_conformance(distribution, [kind], [name], [check], catalogue=catalogue)


def failed(found: list[CheckResult]) -> list[CheckResult]:
    return [result for result in found if result.status == "failed"]


@pytest.mark.parametrize("mutant", COMPONENTS, ids=lambda mutant: f"{mutant}-{mutant.check}")
def test_a_broken_component_is_caught(mutant: Mutant, catalogue: Catalogue) -> None:
    caught = failed(results(catalogue, mutant.kind, mutant.name, mutant.check))
    assert caught
    assert all(result.message for result in caught)


@pytest.mark.parametrize(
    ("kind", "correct", "check"), sorted({(m.kind, m.correct, m.check) for m in COMPONENTS})
)
def test_what_it_was_cut_from_passes(
    kind: str, correct: str, check: str, catalogue: Catalogue
) -> None:
    found = results(catalogue, kind, correct, check)
    assert not failed(found)
    assert any(result.status == "passed" for result in found)


@pytest.mark.parametrize("name", CORE)
def test_a_broken_core_is_caught(
    name: str, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, kind, component = CORE[name]
    found = results(catalogue, kind, component, check)
    assert not failed(found)
    assert any(result.status == "passed" for result in found)
    getattr(core, name)(monkeypatch)
    assert failed(results(catalogue, kind, component, check))


def test_every_check_has_a_mutant() -> None:
    caught_by = {mutant.check for mutant in COMPONENTS} | {check for check, *_ in CORE.values()}
    assert caught_by == set(CHECKS)
    rows = [(str(mutant), mutant.check) for mutant in COMPONENTS]
    rows += [(f"core-{name}", check) for name, (check, *_) in CORE.items()]
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{width}}  {check}" for name, check in rows))
