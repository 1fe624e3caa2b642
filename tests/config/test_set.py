"""`--set` on plain settings: how the text of a value is read, and what is no assignment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from config_helpers import plan_of, problem_of

from tp_core.kernel.catalogue import Catalogue

Fake = Callable[[str], Catalogue]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("corpus.txt", "corpus.txt"),
        ("5", "5"),
        ("true", "true"),
        ("null", "null"),
        ("a=b=c", "a=b=c"),
        ('"quoted"', '"quoted"'),
        (" spaced ", " spaced "),
        ("[1, 2]", "[1, 2]"),
        ("{a = 1}", "{a = 1}"),
        ("# no comment", "# no comment"),
        ("2020-01-01", "2020-01-01"),
    ],
)
def test_a_text_setting_takes_the_text_verbatim(text: str, expected: str) -> None:
    assert plan_of(None, f"data.path={text}").config.data.path == expected


def test_a_choice_is_text_too() -> None:
    assert plan_of(None, "train.precision=bf16").config.train.precision == "bf16"
    problem = problem_of(None, 'train.precision="bf16"')
    assert problem.key == "train.precision"
    assert "Did you mean 'bf16'?" in problem.message


@pytest.mark.parametrize(
    ("assignment", "section", "name", "value"),
    [
        ("train.max_steps=7", "train", "max_steps", 7),
        ("train.max_steps= 7 ", "train", "max_steps", 7),
        (" train . max_steps =7", "train", "max_steps", 7),
        ("train.max_steps=1_000", "train", "max_steps", 1000),
        ("train.learning_rate=1e-3", "train", "learning_rate", 1e-3),
        ("train.learning_rate=1", "train", "learning_rate", 1.0),
        ("train.compile=true", "train", "compile", True),
        ('model.pattern=["a", "b"]', "model", "pattern", ("a", "b")),
        ("model.pattern=[]", "model", "pattern", ()),
    ],
)
def test_other_settings_are_read_as_toml(
    assignment: str, section: str, name: str, value: Any
) -> None:
    found = getattr(getattr(plan_of(None, assignment).config, section), name)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "assignment",
    [
        "train.max_steps=true",
        'train.max_steps="5"',
        "train.max_steps=5.0",
        "train.max_steps=five",
        "train.max_steps=",
        "train.max_steps=null",
        "train.max_steps=2020-01-01",
        "train.max_steps=nan",
        "train.max_steps=5\ntrain = 1",
        "train.max_steps=" + "9" * 5000,
        "train.max_steps=" + "[" * 5000,
        "train.max_steps=0x" + "f" * 5000,
        "train.learning_rate=inf",
        "train.learning_rate=nan",
        "train.learning_rate=true",
        "train.learning_rate=1e999",
        "train.compile=1",
        "train.compile=yes",
        "model.pattern=local",
        "model.pattern=[1]",
        'model.pattern=[""]',
        'model.pattern=["a.b"]',
    ],
)
def test_a_value_of_the_wrong_type_is_refused_where_it_was_written(assignment: str) -> None:
    problem = problem_of(None, assignment)
    key = assignment.partition("=")[0]
    assert problem.key.startswith(key)
    assert problem.place.startswith(f"--set {assignment}"[:80])
    assert problem.message.strip()
    assert len(problem.message) < 200


def test_later_assignments_win() -> None:
    assert plan_of(None, "train.seed=2", "train.seed=3").config.train.seed == 3
    problem = problem_of(None, "train.seed=2", "train.seed=x")
    assert problem.place == "--set train.seed=x"


def test_an_entry_of_a_list_is_set_by_its_index() -> None:
    changed = plan_of({"model": {"pattern": ["a", "b"]}}, "model.pattern.1=5")
    assert changed.config.model.pattern == ("a", "5")


@pytest.mark.parametrize("text", ["train.seed", "=5", "train..seed=5", ".=1", "", "train.=5"])
def test_what_is_no_assignment_is_said_to_be_none(text: str) -> None:
    problem = problem_of(None, text)
    assert problem.message == "write it as section.key=value"
    assert problem.place == f"--set {text}"


@pytest.mark.parametrize(
    ("assignment", "near"),
    [
        ("trian.seed=1", "'train'"),
        ("seed=1", "'train.seed'"),
        ("train.sede=1", "'seed'"),
        ("model.attention.windw=1", "'window'"),
        ("sampling.samplers.0.temprature=1", "'temperature'"),
        ("model.norm=rmsnrm", "'rmsnorm'"),
    ],
)
def test_a_misspelt_key_gets_a_suggestion(assignment: str, near: str) -> None:
    problem = problem_of(None, assignment)
    assert f"Did you mean {near}?" in problem.message
    assert problem.place == f"--set {assignment}"


def test_a_setting_is_no_table() -> None:
    problem = problem_of({"train": {"seed": 1}}, "train.seed.x=1")
    assert problem.key == "train.seed.x"
    assert problem.message == "'train.seed' is not a table, so it has no key 'x'"


def test_a_whole_section_is_laid_over_the_files() -> None:
    plan = plan_of(
        {"train": {"seed": 5}}, 'train={max_steps = 3, schedule = {name = "constant", warmup = 2}}'
    )
    assert (plan.config.train.seed, plan.config.train.max_steps) == (5, 3)
    assert plan.schedule.options.model_dump() == {"warmup": 2}
    problem = problem_of(None, "train=5")
    assert (problem.key, problem.place) == ("train", "--set train=5")
