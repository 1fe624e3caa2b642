"""The descriptor: what it takes, and what it refuses at once."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from pydantic import Field

from tp_core.kernel.component import SITES, Component
from tp_core.kernel.options import Options


def made(**changes: Any) -> Component:
    return Component(**{"name": "relu2", "target": "tp_relu2.model:Relu2", **changes})


def test_what_is_left_out_is_empty() -> None:
    component = made()
    assert (component.summary, component.paper) == ("", "")
    assert (component.needs, component.aliases) == ((), ())
    assert component.options is Options


def test_a_descriptor_is_a_value() -> None:
    assert made(needs=["rotate"], aliases=["r"]) == made(needs=("rotate",), aliases=("r",))
    assert hash(made()) == hash(made())
    assert made() != made(summary="x")
    for field in ("name", "needs"):
        with pytest.raises(FrozenInstanceError):
            setattr(made(), field, "x")
    make: Any = Component
    with pytest.raises(TypeError, match="positional"):
        make("relu2", "a:B")


def test_every_site_may_be_needed() -> None:
    assert made(needs=iter(SITES)).needs == SITES


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"name": "Relu"}, ValueError, "'Relu' must match"),
        ({"name": "2relu"}, ValueError, "must match"),
        ({"name": "re-lu"}, ValueError, "must match"),
        ({"name": "relu\n"}, ValueError, "must match"),
        ({"name": ""}, ValueError, "must match"),
        ({"name": 5}, ValueError, "component name 5"),
        ({"aliases": ["Re"]}, ValueError, "'Re' must match"),
        ({"aliases": "re"}, TypeError, "aliases must be a sequence of names"),
        ({"aliases": None}, TypeError, "aliases must be a sequence of names"),
        ({"aliases": [5]}, ValueError, "component name 5"),
        ({"target": "tp_relu2.model"}, ValueError, "is not 'module:Class'"),
        ({"target": "a.b:"}, ValueError, "is not 'module:Class'"),
        ({"target": ":C"}, ValueError, "is not 'module:Class'"),
        ({"target": "a-b:C"}, ValueError, "is not 'module:Class'"),
        ({"target": "a:C.d"}, ValueError, "is not 'module:Class'"),
        ({"target": object}, ValueError, "is not 'module:Class'"),
        ({"summary": None}, TypeError, "summary must be a string"),
        ({"paper": 5}, TypeError, "paper must be a string"),
        ({"options": None}, TypeError, "must be a subclass of tp_core.Options"),
        ({"options": dict}, TypeError, "must be a subclass of tp_core.Options"),
        ({"options": Options()}, TypeError, "must be a subclass of tp_core.Options"),
        ({"needs": ["rotat"]}, ValueError, "the sites are embed, rotate, bias, score"),
        ({"needs": "rotate"}, TypeError, "needs must be a sequence of names"),
        ({"needs": None}, TypeError, "needs must be a sequence of names"),
        ({"needs": [["rotate"]]}, ValueError, "which is not a site"),
        ({"nedes": ()}, TypeError, "nedes"),
    ],
)
def test_what_a_descriptor_refuses(
    changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        made(**changes)


@pytest.mark.parametrize("field", ["name", "target"])
def test_what_must_be_given(field: str) -> None:
    given: dict[str, Any] = {"name": "a", "target": "a:B"}
    del given[field]
    with pytest.raises(TypeError, match=field):
        Component(**given)


def test_options_with_a_type_that_is_not_there() -> None:
    field = Field(1, description="x")
    late = type("Late", (Options,), {"__annotations__": {"x": "Missing"}, "x": field})
    with pytest.raises(TypeError, match="Late has an option whose type isn't defined"):
        made(options=late)
