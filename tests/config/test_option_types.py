"""Options of every type, in a component made for the purpose: how their text is read, what fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from config_helpers import plan_of, problem_of, problems_of

from tp_core.kernel.catalogue import Catalogue

Fake = Callable[[str], Catalogue]

TYPED = """
class Typed(Options):
    text: str = F("t")
    maybe: str | None = F(None)
    mode: Literal["1", "on"] = F("on")
    path: Path | None = F(None)
    marked: Annotated[str, Field(min_length=1)] | None = F("m")
    words: tuple[str, ...] = F(())
    pair: tuple[int, str] = F((1, "a"))
    table: dict[str, str] = F({})
    number: int | Literal["auto"] = F("auto")
    norms: tuple[Spec["norm"], ...] = F(())
    always: Spec["norm"] = F("rmsnorm")

tp_mlps = components("mlp", ("typed", Typed, ()))
"""


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("text", "5", "5"),
        ("text", "[x]", "[x]"),
        ("text", "null", "null"),
        ("maybe", "5", "5"),
        ("maybe", "null", None),
        ("mode", "1", "1"),
        ("path", "1", "1"),
        ("marked", "5", "5"),
        ("marked", "null", None),
        ("words", '["a", "b"]', ["a", "b"]),
        ("words.1", "5", ["w", "5"]),
        ("pair.0", "5", [5, "b"]),
        ("pair.1", "5", [2, "5"]),
        ("table.k", "5", {"k": "5"}),
        ("table", '{k = "v"}', {"k": "v"}),
        ("number", "5", 5),
        ("number", "auto", "auto"),
        ("norms", '["rmsnorm"]', [{"name": "rmsnorm", "eps": 1e-6, "gain": "plain"}]),
        ("norms.0", "rmsnorm", [{"name": "rmsnorm", "eps": 1e-6, "gain": "plain"}]),
        (
            "norms.0.bias",
            "false",
            [{"name": "layernorm", "eps": 1e-5, "gain": True, "bias": False}],
        ),
        ("always", "{eps = 0.5}", {"name": "rmsnorm", "eps": 0.5, "gain": "plain"}),
    ],
)
@pytest.mark.parametrize("written", [True, False])
def test_the_type_of_an_option_says_how_its_text_is_read(
    fake: Fake, option: str, text: str, value: Any, written: bool
) -> None:
    catalogue = fake(TYPED)
    table: dict[str, Any] = {"name": "typed"}
    if written or "." in option:
        table |= {"text": "x", "maybe": "x", "words": ["w", "w"], "pair": [2, "b"]}
        table |= {"norms": ["layernorm"], "always": {"name": "rmsnorm"}, "mode": "on"}
    plan = plan_of({"model": {"mlp": table}}, f"model.mlp.{option}={text}", catalogue=catalogue)
    found = plan.layers[0]["mlp"].spec.as_data()[option.partition(".")[0]]
    assert (found, type(found)) == (value, type(value))


def test_what_an_option_may_be_is_told_in_full(fake: Fake) -> None:
    problem = problem_of(
        {"model": {"mlp": {"name": "typed", "number": "x"}}}, catalogue=fake(TYPED)
    )
    assert problem.key == "model.mlp.number"
    assert problem.message == "must be an integer or 'auto', not \"x\""


def test_a_list_of_components_names_the_entry_at_fault(fake: Fake) -> None:
    table = {"name": "typed", "norms": ["rmsnorm", {"name": "rmsnorm", "esp": 1}], "always": 5}
    problems = problems_of({"model": {"mlp": table}}, catalogue=fake(TYPED))
    assert [p.key for p in problems] == ["model.mlp.norms.1.esp", "model.mlp.always"]
    assert "Did you mean 'eps'?" in problems[0].message


def test_a_list_where_one_component_belongs(fake: Fake) -> None:
    catalogue = fake(TYPED)
    table = {"name": "typed", "norms": "rmsnorm", "always": ["rmsnorm"]}
    problems = problems_of({"model": {"mlp": table}}, catalogue=catalogue)
    assert [p.key for p in problems] == ["model.mlp.norms", "model.mlp.always"]
