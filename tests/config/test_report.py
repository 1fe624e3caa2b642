"""All that is wrong with a config in one report: each problem with its place and what to do."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from config_helpers import DEFAULT, file_problems, plan_of, problem_of, problems_of

from tp_core.config.plan import load_plan
from tp_core.errors import ConfigError
from tp_core.kernel.catalogue import Catalogue

Fake = Callable[[str], Catalogue]

WRONG = """\
[dta]
path = "x"

[data]
val_fraction = 0.6
test_fraction = 0.5

[model]
d_model = 100
n_heads = 3
n_layer = 2
positional_encoding = "rop"
attention = { name = "softmax", windw = 1, n_kv_heads = "2", bias = 1 }

norm = 5
block = "pre"

[train]
max_steps = 10
batch_size = 2
grad_accumulation = 4
optimizer = "adamw"
schedule = { name = "constant", warmup = 10 }
device = "gpu"

[sampling]
samplers = [
  "greedy",
  { name = "top_p", p = 0 },
]
"""

# key -> (line, words of the message)
REPORT = {
    "dta": (1, "unknown section. Did you mean 'data'?"),
    "data.val_fraction": (5, "test_fraction = 0.5"),
    "model.d_model": (9, "100 is not divisible by n_heads = 3; use 99 or 102"),
    "model.n_layer": (11, "[model] has no key 'n_layer'. Did you mean 'n_layers'?"),
    "model.positional_encoding": (12, "no positional_encoding 'rop'. Did you mean 'rope'?"),
    "model.attention.windw": (13, "attention 'softmax' has no key 'windw'. Did you mean 'window'?"),
    "model.attention.n_kv_heads": (13, 'must be an integer, not "2"'),
    "model.attention.bias": (13, "must be true or false, not 1"),
    "model.norm": (15, 'must be a component: "name" or { name = "..." }, not 5'),
    "model.mlp": (8, "under [model] add mlp = "),
    "train.grad_accumulation": (21, "4 micro-batches exceed batch_size = 2 phrases"),
    "train.schedule": (23, "warmup = 10 must be smaller than max_steps = 10"),
    "train.device": (24, 'must be auto, cpu, mps, cuda or cuda:N, not "gpu"'),
    "sampling.samplers.1.p": (29, "must be greater than 0, not 0"),
    "report.metrics": (None, "Under [report] add metrics = []"),
}


def test_everything_is_told_at_once_and_where(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(WRONG)
    problems = {problem.key: problem for problem in file_problems(path)}
    assert set(problems) == set(REPORT)
    for key, (line, words) in REPORT.items():
        assert words in problems[key].message
        assert problems[key].place == (f"{path}:{line}" if line else str(path))


def test_the_report_is_a_line_a_problem() -> None:
    with pytest.raises(ConfigError) as caught:
        plan_of({"train": {"seed": -1, "max_steps": 0}}, "data.overlong=x")
    text = str(caught.value)
    assert len(text.split("\n")) == len(caught.value.problems) == 3
    assert "my.toml: train.seed: must be greater than or equal to 0, not -1" in text
    assert "--set data.overlong=x: data.overlong: must be 'error', 'truncate' or 'drop'" in text


COMPONENTS = [
    "positional_encoding",
    "attention",
    "norm",
    "mlp",
    "block",
    "optimizer",
    "schedule",
    "samplers",
    "metrics",
]


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_missing_component_names_the_line_to_add(tmp_path: Path, name: str) -> None:
    path = tmp_path / "my.toml"
    entry = rf"^{name} = (\[ *#(.*\n)+?\]|.*)$"
    text, count = re.subn(entry, "", DEFAULT.read_text(), flags=re.MULTILINE)
    assert count == 1
    path.write_text(text)
    (problem,) = file_problems(path)
    assert problem.key.endswith(f".{name}")
    found = re.search(r"[Uu]nder (\[\w+\]) add (.*) \(installed: [^)]+\)", problem.message)
    assert found is not None
    header = text.split("\n").index(found[1]) + 1
    assert problem.place == f"{path}:{header}"
    path.write_text(text.replace(found[1], f"{found[1]}\n{found[2]}"))
    assert load_plan(path)


@pytest.mark.parametrize("value", [True, "5", 5.5, 5.0, [], {}, datetime.date(2020, 1, 1)])
def test_what_is_no_whole_number(value: Any) -> None:
    problem = problem_of({"train": {"seed": value}})
    assert problem.key == "train.seed"
    assert (
        "must be an integer" in problem.message or "2020-01-01 is not a string" in problem.message
    )
    nested = problem_of({"model": {"attention": {"name": "softmax", "window": value}}})
    assert nested.key == "model.attention.window"


@pytest.mark.parametrize("value", [True, "5", float("nan"), float("inf"), -float("inf"), [1]])
def test_what_is_no_number(value: Any) -> None:
    problem = problem_of({"train": {"learning_rate": value}})
    assert problem.key == "train.learning_rate"
    assert "number" in problem.message
    nested = problem_of({"model": {"norm": {"name": "rmsnorm", "eps": value}}})
    assert nested.key == "model.norm.eps"


@pytest.mark.parametrize("value", [1, 0, "true", None, 1.0])
def test_what_is_neither_true_nor_false(value: Any) -> None:
    problem = problem_of({"model": {"tie_embeddings": value}})
    assert problem.message.startswith("must be true or false, not ")


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("data", "path", ""),
        ("data", "path", 5),
        ("data", "path", "\ud800"),
        ("data", "\ud800", 5),
        ("data", "val_fraction", 0),
        ("data", "val_fraction", 1),
        ("data", "layout", "rows"),
        ("tokenizer", "vocab_size", 0),
        ("tokenizer", "vocab_size", 10**30),
        ("model", "n_layers", 10**9),
        ("model", "d_model", 10**9),
        ("model", "pattern", "local"),
        ("model", "pattern", [""]),
        ("train", "seed", 2**53 + 1),
        ("train", "seed", 2**70),
        ("train", "device", "gpu"),
        ("train", "device", "cuda:"),
        ("train", "device", "cuda:x"),
        ("train", "device", "cpu\n"),
        ("train", "device", ""),
        ("train", "schedule", None),
        ("eval", "max_lines", 0),
        ("sampling", "samplers", "greedy"),
        ("sampling", "samplers", {"name": "greedy"}),
        ("report", "metrics", None),
        ("report", "metrics", [None]),
    ],
)
def test_what_a_setting_can_not_be(section: str, name: str, value: Any) -> None:
    problem = problem_of({section: {name: value}})
    assert problem.key.startswith(f"{section}.{name}")
    assert "\n" not in problem.message


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:13"])
def test_devices(device: str) -> None:
    assert plan_of(None, f"train.device={device}").config.train.device == device


def test_the_split_must_leave_something_to_train_on() -> None:
    assert plan_of({"data": {"val_fraction": 0.5, "test_fraction": 0.49}})
    problem = problem_of({"data": {"val_fraction": 0.5, "test_fraction": 0.5}})
    assert "leave no training data" in problem.message
    overridden = problem_of({"data": {"val_fraction": 0.5}}, "data.test_fraction=0.5")
    assert overridden.place == "--set data.test_fraction=0.5"


def test_a_step_can_not_be_cut_into_more_slices_than_phrases() -> None:
    assert plan_of({"train": {"batch_size": 3, "grad_accumulation": 3}})
    problem = problem_of({"train": {"batch_size": 3, "grad_accumulation": 4}})
    assert (problem.key, "at most 3" in problem.message) == ("train.grad_accumulation", True)


def test_a_sum_with_a_wrong_part_is_not_told_twice() -> None:
    problems = problems_of({"data": {"val_fraction": 2, "test_fraction": 0.99}})
    assert [p.key for p in problems] == ["data.val_fraction"]
    problems = problems_of({"train": {"batch_size": 0, "grad_accumulation": 99}})
    assert [p.key for p in problems] == ["train.batch_size"]


def test_an_override_that_causes_a_problem_is_its_place() -> None:
    problem = problem_of({"model": {"d_model": 12, "n_heads": 2}}, "model.n_heads=5")
    assert (problem.key, problem.place) == ("model.d_model", "--set model.n_heads=5")
    problem = problem_of({"model": {"d_model": 12, "n_heads": 2}}, "model.n_heads=4")
    assert problem.place == "--set model.n_heads=4"
    assert "head_dim must be even, not 3" in problem.message


def test_an_override_that_does_not_is_not_blamed() -> None:
    for sets in (["model.attention.window=3"], ["model.attention.bias=true", "model.d_model=64"]):
        problem = problem_of({"model": {"attention": "sofmax"}}, *sets)
        assert problem.place == "my.toml"
    problem = problem_of(
        {"model": {"attention": {"name": "softmax", "windw": 1}}}, "model.d_model=64"
    )
    assert problem.place == "my.toml"
    problem = problem_of({"train": {"optimizer": None}}, "train.seed=3")
    assert problem.place == "my.toml"


@pytest.mark.parametrize("section", ["data", "model", "train", "sampling", "report"])
@pytest.mark.parametrize("value", [5, "x", [], [{}], None])
def test_a_section_that_is_no_table(section: str, value: Any) -> None:
    problem = problem_of({section: value})
    assert problem.key == section
    assert problem.message.startswith("must be a table, not ")


@pytest.mark.parametrize("version", [0, 2, "1", 1.0, True, None, [], "x" * 99])
def test_a_config_of_another_schema(version: Any) -> None:
    problem = problem_of({"schema_version": version})
    assert problem.key == "schema_version"
    assert problem.message.endswith("; this version of tp supports 1")
    assert plan_of({"schema_version": 1}).config.schema_version == 1


def test_an_option_that_must_be_given(fake: Fake) -> None:
    code = """
    class Needy(Options):
        size: int = F()
        norm: Spec["norm"] = F()
    tp_mlps = components("mlp", ("needy", Needy, ()))
    """
    problems = problems_of({"model": {"mlp": "needy"}}, catalogue=fake(code))
    assert [p.key for p in problems] == ["model.mlp.size", "model.mlp.norm"]
    assert all(p.message == "is required by mlp 'tp-fake:needy'" for p in problems)
    written = {"name": "needy", "size": datetime.date(2020, 1, 1), "norm": "rmsnorm"}
    problem = problem_of({"model": {"mlp": written}}, catalogue=fake(code))
    assert problem.message == "2020-01-01 is not a string, number, boolean, list or table"


def test_a_rule_between_options_is_told_in_the_components_words(fake: Fake) -> None:
    code = """
    class Ruled(Options):
        low: int = F(0)
        high: int = F(1)
        @model_validator(mode="after")
        def ordered(self):
            if self.low > self.high:
                raise ValueError("low must not be above high")
            return self
    tp_mlps = components("mlp", ("ruled", Ruled, ()))
    """
    catalogue = fake(code)
    assert plan_of({"model": {"mlp": "ruled"}}, catalogue=catalogue)
    problem = problem_of({"model": {"mlp": {"name": "ruled", "low": 5}}}, catalogue=catalogue)
    assert (problem.key, problem.message) == ("model.mlp", "low must not be above high")


def test_a_component_that_contains_itself(fake: Fake) -> None:
    code = """
    class Endless(Options):
        inner: Spec["mlp"] | None = F("endless")
    tp_mlps = components("mlp", ("endless", Endless, ()))
    """
    problem = problem_of({"model": {"mlp": "endless"}}, catalogue=fake(code))
    assert problem.key.startswith("model.mlp.inner.inner")
    assert problem.message == "is nested too deeply"
