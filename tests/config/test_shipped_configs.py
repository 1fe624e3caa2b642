"""The configs in `configs/`: each passes, is small, and is what its name says. Without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from config_helpers import CONFIGS, DEFAULT

from tp_core.config.plan import Plan, load_plan
from tp_core.config.read_file import read_config
from tp_core.config.schema import SECTIONS
from tp_core.kernel.catalogue import Catalogue, discover

NAMES = [
    *("default.py", "default.toml", "gpt2_style.toml", "llama_style.toml", "local_global.toml"),
    *("gemma2_style.toml", "olmo2_style.toml", "qwen3_style.toml", "deepseek_style.toml"),
    *("hybrid.toml", "nope.toml"),
]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """What is built in, and nothing else: the configs need no more."""
    return Catalogue([plugin for plugin in discover() if plugin.builtin], "")


def options(plan: Plan, kind: str, layer: int = 0) -> dict[str, object]:
    return plan.layers[layer][kind].spec.as_data()


def test_there_are_no_others() -> None:
    assert set(NAMES) <= {path.name for path in CONFIGS.iterdir()}


@pytest.mark.parametrize("path", [p for p in sorted(CONFIGS.iterdir()) if p.is_file()], ids=str)
def test_every_one_passes_and_is_small(path: Path, catalogue: Catalogue) -> None:
    plan = load_plan(path, catalogue=catalogue)
    assert plan.dims.d_model * plan.dims.n_layers <= 1024
    assert plan.config.data.path == "phrases.txt"


def test_the_default_is_the_same_in_python(catalogue: Catalogue) -> None:
    toml = load_plan(DEFAULT, catalogue=catalogue)
    python = load_plan(CONFIGS / "default.py", catalogue=catalogue)
    assert python == toml
    assert python.config.as_data() == toml.config.as_data()


def test_the_default_configs_name_every_key() -> None:
    for name in ("default.toml", "default.py"):
        data = read_config(CONFIGS / name).data
        for section, model in SECTIONS.items():
            assert set(data[section]) == set(model.model_fields), (name, section)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "hybrid.toml"])
def test_the_usual_changes_work_on_each(name: str, catalogue: Catalogue) -> None:
    sets = ["model.mlp_enabled=false", "model.positional_encoding=rope", "train.max_steps=60"]
    plan = load_plan(CONFIGS / name, sets, catalogue)
    assert plan.positional_encoding.name == "rope"
    assert not any(layer.mlp_enabled for layer in plan.layers)


def test_python_keys_are_found_by_line() -> None:
    path = CONFIGS / "default.py"
    place = read_config(path).place(("sampling", "samplers", "1", "p"))
    line = int(place.rpartition(":")[2])
    assert path.read_text().split("\n")[line - 1].strip() == '{"name": "top_p", "p": 0.95},'


def test_gpt2_style(catalogue: Catalogue) -> None:
    plan = load_plan(CONFIGS / "gpt2_style.toml", catalogue=catalogue)
    assert (options(plan, "norm")["name"], options(plan, "norm")["bias"]) == ("layernorm", True)
    assert (options(plan, "mlp")["name"], options(plan, "mlp")["bias"]) == ("gelu", True)
    assert (options(plan, "attention")["name"], options(plan, "attention")["bias"]) == (
        "softmax",
        True,
    )
    assert plan.positional_encoding.name == "learned"
    assert plan.config.model.tie_embeddings


def test_llama_style(catalogue: Catalogue) -> None:
    plan = load_plan(CONFIGS / "llama_style.toml", catalogue=catalogue)
    names = [options(plan, kind)["name"] for kind in ("norm", "mlp", "positional_encoding")]
    assert names == ["rmsnorm", "swiglu", "rope"]
    assert options(plan, "attention")["n_kv_heads"] == 2
    assert not plan.config.model.tie_embeddings


def test_local_global(catalogue: Catalogue) -> None:
    plan = load_plan(CONFIGS / "local_global.toml", catalogue=catalogue)
    found = {
        layer.label: (options(plan, "attention", i)["window"], layer["positional_encoding"].name)
        for i, layer in enumerate(plan.layers)
    }
    assert found == {"local": (16, "rope"), "global": (None, "none")}


def test_checking_imports_no_torch_and_no_component() -> None:
    code = (
        "import sys, pathlib\n"
        "from tp_core.config.plan import load_plan\n"
        "from tp_core.errors import ConfigError\n"
        f"load_plan(pathlib.Path({str(DEFAULT)!r}))\n"
        "try:\n"
        f"    load_plan(pathlib.Path({str(DEFAULT)!r}), ['model.norm=x', 'model.d_model=3'])\n"
        "except ConfigError as error:\n"
        "    assert len(error.problems) == 2, error\n"
        "heavy = {'torch', 'numpy', 'sentencepiece', 'matplotlib', 'rich'} & set(sys.modules)\n"
        "parts = [m for m in sys.modules if m.count('.') > 1 and m.startswith('tp_plugins')]\n"
        "print(sorted(heavy), parts)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (done.stdout, done.returncode) == ("[] []\n", 0), done.stderr
