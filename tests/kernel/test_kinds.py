"""The table of kinds, and what is written out beside it."""

from __future__ import annotations

import pytest

from tp_core.config.schema import SECTIONS, LayerConfig
from tp_core.kernel import hookspecs
from tp_core.kernel.kinds import KINDS, LAYER_KINDS, SEQUENCE_KINDS, Kind
from tp_core.kernel.options import spec_kind


def test_there_is_a_hook_for_each_and_no_other() -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("tp_")]
    assert hooks == [kind.hook for kind in KINDS.values()]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_config_has_it_where_the_table_says(kind: Kind) -> None:
    section = SECTIONS[kind.section]
    assert spec_kind(section, kind.key) == kind.name
    assert section.model_fields[kind.key].is_required() == kind.needed
    assert (kind.name in LayerConfig.model_fields) == kind.in_layers


def test_the_settings_that_choose_one() -> None:
    assert KINDS["norm"].setting("rmsnorm") == "model.norm=rmsnorm"
    assert KINDS["optimizer"].setting("tp-good:sgd") == "train.optimizer=tp-good:sgd"
    assert KINDS["metric"].setting("novelty", "oov") == 'report.metrics=["novelty", "oov"]'


def test_what_sees_the_sequence_is_in_the_layers() -> None:
    assert set(SEQUENCE_KINDS) < set(LAYER_KINDS)
    assert {"norm", "mlp"} == set(LAYER_KINDS) - set(SEQUENCE_KINDS)
