"""The TOML of `tp plugins show`: it parses, it validates, and it can be pasted."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
import tomli
from pydantic import Field

from tp_core.cli.option_block import describe, option_block
from tp_core.config.components import resolve_spec
from tp_core.config.plan import load_plan
from tp_core.kernel.catalogue import Catalogue, Plugin, RegisteredComponent
from tp_core.kernel.component import Component
from tp_core.kernel.options import Options, Spec

DEFAULT = Path(__file__).parents[2] / "configs" / "default.toml"
BUILT_IN = [c for one in Catalogue().everything for c in one.components if c.plugin.builtin]


def table_of(block: str, kind: str) -> dict[str, Any]:
    """The one component in a block, wherever its kind belongs in a config."""
    (section,) = tomli.loads(block).values()
    (found,) = section.values()
    table = found[0] if isinstance(found, list) else found
    assert isinstance(table, dict), kind
    return table


def uncommented(block: str) -> str:
    return re.sub(r"^# (\w+ = (?!\.\.\.$))", r"\1", block, flags=re.MULTILINE)


def a_component(options: type[Options], kind: str = "norm") -> RegisteredComponent:
    component = Component(name="odd", target="odd:Odd", options=options)
    return RegisteredComponent(kind, component, Plugin("tp-odd", "1.0", "odd", "odd"))


@pytest.mark.parametrize("registered", BUILT_IN, ids=lambda r: f"{r.kind}-{r.qualified}")
def test_every_built_in_block_validates_as_printed_and_uncommented(
    registered: RegisteredComponent,
) -> None:
    block = option_block(registered)
    fields = registered.component.options.model_fields
    # One that must be given is a comment until it is: then only the whole block validates.
    to_fill_in = any(info.is_required() for info in fields.values())
    for text in (uncommented(block),) if to_fill_in else (block, uncommented(block)):
        table = table_of(text, registered.kind)
        spec = Spec[Any](table.pop("name"), table, registered.kind)
        chosen = resolve_spec(Catalogue(), spec)
        assert chosen.registered.qualified == registered.qualified
        assert set(table) <= set(registered.component.options.model_fields)
    assert [name for name in fields if not re.search(rf"^(# )?{name} = ", block, re.M)] == []


@pytest.mark.parametrize(
    ("kind", "name", "replaced"),
    [
        ("attention", "softmax", r"^attention = .*$"),
        ("positional_encoding", "rope", r"^positional_encoding = .*$"),
        ("norm", "layernorm", r"^norm = .*$"),
        ("mlp", "gelu", r"^mlp = .*$"),
        ("block", "pre", r"^block = .*$"),
        ("optimizer", "adamw", r"^optimizer = .*$"),
        ("schedule", "constant", r"^schedule = .*$"),
        ("sampler", "top_k", r"(?s)^samplers = \[.*?^\]$"),
        ("metric", "unique_rate", r"(?s)^metrics = \[.*?^\]$"),
    ],
)
def test_a_block_can_be_pasted_where_it_says(
    tmp_path: Path, kind: str, name: str, replaced: str
) -> None:
    block = option_block(Catalogue().find(kind, name))
    text, count = re.subn(replaced, "", DEFAULT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert count == 1
    assert re.match(rf"# instead of `{kind}s? = .*` in \[\w+\], after its other keys", block)
    config = tmp_path / "config.toml"
    config.write_text(f"{text}\n{block}\n", encoding="utf-8")
    plan = load_plan(config)
    assert (kind, name) in {(c.kind, c.name) for c in plan.components()}


class Colour(Enum):
    RED = "red"


class Odd(Options):
    width: int = Field(gt=0, description="no default", examples=[7])
    bare: str = Field(description="no default, no example")
    text: str = Field('say "hi"\n\x7f\\', description="hard to quote", min_length=1)
    mode: Literal["a", "b"] | None = Field(None, description="null,\n  on two lines")
    sizes: tuple[int, ...] = Field((1, 2), description="several", max_length=3)
    small: float = Field(1e-8, gt=0, lt=1, description="tiny", multiple_of=1e-9)
    colour: Colour = Field(Colour.RED, description="an enum")
    inner: Spec[Literal["norm"]] = Field(
        Spec("rmsnorm", {"eps": 0.5, "odd key": None}), description="nested"
    )
    chain: tuple[Spec[Literal["norm"]], ...] = Field((), description="several nested")
    table: dict[str, float] = Field({"a b": 1.5}, description="free keys")


def test_options_of_every_shape() -> None:
    block = option_block(a_component(Odd))
    assert block.splitlines()[1:] == [
        "[model.norm]",
        'name = "tp-odd:odd"',
        "# int > 0, required: no default",
        "# width = 7",
        "# str, required: no default, no example",
        "# bare = ...",
        "# str, at least 1 long: hard to quote",
        r'text = "say \"hi\"\n\u007f\\"',
        '# "a" or "b" or null: null, on two lines',
        "# mode = ...",
        "# list of int, at most 3 long: several",
        "sizes = [1, 2]",
        "# float in (0, 1), a multiple of 1e-09: tiny",
        "small = 1e-08",
        "# Colour: an enum",
        'colour = "red"',
        "# component of kind norm: nested",
        'inner = { name = "rmsnorm", eps = 0.5 }',
        "# list of component of kind norm: several nested",
        "chain = []",
        "# dict: free keys",
        'table = { "a b" = 1.5 }',
    ]
    table = table_of(block, "norm")
    assert table["text"] == 'say "hi"\n\x7f\\'
    assert table["small"] == 1e-8


def test_a_description_cannot_break_out_of_its_comment() -> None:
    class Sly(Options):
        eps: float = Field(0.5, description="fine\nname = 'other'\r\x1b[2J")

    table = table_of(option_block(a_component(Sly)), "norm")
    assert table == {"name": "tp-odd:odd", "eps": 0.5}


def test_ranges_in_words() -> None:
    class Ranges(Options):
        a: float = Field(0.5, ge=0, le=1, description="d")
        b: int | None = Field(None, ge=1, description="d")
        c: int = Field(1, le=9, description="d")
        d: bool = Field(True, description="d")
        e: str = Field("x", pattern="^x$", description="d")

    fields = Ranges.model_fields
    assert [describe(fields[name]) for name in fields] == [
        "float in [0, 1]",
        "int >= 1 or null",
        "int <= 9",
        "bool",
        "str matching ^x$",
    ]
