"""The verdict on runs really trained on phrases.txt; `benchmarks/verdicts.py` has more of them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SEED = 41


@pytest.fixture(scope="module")
def setup() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "verdicts.py"
    spec = importlib.util.spec_from_file_location("verdicts", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["verdicts"] = module  # where its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def verdicts(setup: ModuleType, case: Any, folder: Path) -> dict[str, str]:
    run = setup.train(case, folder / "run", SEED)
    return {name: setup.verdict(run, name)["verdict"]["label"] for name in case.expected}


def test_untrained_and_by_heart(setup: ModuleType, tmp_path: Path) -> None:
    """Sixty lines, two steps and hundreds of steps."""
    small = {"d_model": 32, "n_layers": 1, "n_heads": 2}
    cases = {
        "untrained": setup.Case(
            *("few", setup.phrases(60), {"last": ""}, 2, small, {"learning_rate": 1e-4})
        ),
        "many": setup.Case(
            *("many", setup.phrases(60), {"best_val": "", "last": ""}, 200, small),
            {"learning_rate": 2e-2},
        ),
    }
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert verdicts(setup, cases["untrained"], tmp_path / "a") == {"last": "untrained"}
    found = verdicts(setup, cases["many"], tmp_path / "b")
    assert found == {"best_val": "overfits", "last": "memorises"}


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["stopped early", "all phrases", "closed grammar", "many epochs"])
def test_made_to_come_out_one_way(name: str, setup: ModuleType, tmp_path: Path) -> None:
    case = next(one for one in setup.CASES if one.name == name)
    assert verdicts(setup, case, tmp_path) == case.expected
