"""`tp config check`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cli_runner import Run

DEFAULT = Path(__file__).parents[2] / "configs" / "default.toml"


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.toml"
    path.write_text(
        DEFAULT.read_text(encoding="utf-8")
        .replace("n_layers = 4", "n_layres = 4")
        .replace('"rmsnorm"', '"rmsnrom"'),
        encoding="utf-8",
    )
    return path


def line_with(path: Path, text: str) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_config_that_is_fine(tp: Run) -> None:
    done = tp("config", "check", DEFAULT)
    assert (done.code, done.err) == (0, "")
    pattern = r"OK: (.*): 4 layers, \d+ components from transformer-playground\n"
    match = re.fullmatch(pattern, done.out)
    assert match
    assert match[1] == str(DEFAULT)


def test_a_setting_counts(tp: Run) -> None:
    done = tp("config", "check", DEFAULT, "--set", "model.n_layers=1", "--set", "model.mlp=gelu")
    assert ": 1 layer, " in done.out
    done = tp("config", "check", DEFAULT, "--set", "model.mlp=tp-good:relu4", plugins=("tp-good",))
    assert "from tp-good, transformer-playground" in done.out


def test_every_problem_has_its_line(tp: Run, wrong: Path) -> None:
    done = tp("config", "check", wrong, "--set", "train.lr=1")
    assert (done.code, done.out) == (2, "")
    first, *problems = done.err.splitlines()
    assert first == "Error: 3 problems in the config:"
    assert len(problems) == 3
    text = "\n".join(problems)
    assert f"{wrong}:{line_with(wrong, 'n_layres')}: model.n_layres: " in text
    assert "Did you mean 'n_layers'?" in text
    assert f"{wrong}:{line_with(wrong, 'rmsnrom')}: model.norm: " in text
    assert "Did you mean 'rmsnorm'?" in text
    assert "--set train.lr=1: train.lr: " in text


def test_json_of_a_good_one(tp: Run) -> None:
    done = tp("config", "check", DEFAULT, "--json")
    data = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert (data["ok"], data["layers"], data["problems"]) == (True, 4, [])
    softmax = next(one for one in data["components"] if one["kind"] == "attention")
    assert (softmax["name"], softmax["distribution"]) == ("softmax", "transformer-playground")


def test_json_of_a_wrong_one(tp: Run, wrong: Path) -> None:
    done = tp("config", "check", wrong, "--json")
    data = json.loads(done.out)
    assert (done.code, done.err) == (2, "")
    assert (data["ok"], data["file"]) == (False, str(wrong))
    problems = {one["key"]: one for one in data["problems"]}
    assert problems.keys() == {"model.n_layres", "model.norm"}
    norm = problems["model.norm"]
    assert norm["place"] == f"{wrong}:{line_with(wrong, 'rmsnrom')}"
    assert "Did you mean 'rmsnorm'?" in norm["message"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("gone.toml", "no such file"), ("config.yaml", "must end in .toml, .py, .json")],
)
def test_a_file_that_cannot_be_read(tp: Run, tmp_path: Path, name: str, reason: str) -> None:
    done = tp("config", "check", tmp_path / name)
    assert done.code == 2
    assert reason in done.err
