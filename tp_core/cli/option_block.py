"""The options of a component as TOML to paste into a config: defaults, types, ranges, help."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tp_core.cli.terminal import one_line
from tp_core.config.toml_writer import to_toml
from tp_core.kernel.catalogue import RegisteredComponent
from tp_core.kernel.kinds import KINDS, Kind
from tp_core.kernel.options import SpecKind


def option_block(registered: RegisteredComponent) -> str:
    """The table a config has for this component, every option at its default.

    An option that is null by default is commented out, because TOML has no null; so is one
    without a default, which whoever pastes the block must fill in.
    """
    model = registered.component.options
    defaults = model.model_construct().model_dump(mode="json", warnings=False)
    lines = [*_heading(KINDS[registered.kind]), f"name = {to_toml(registered.qualified)}"]
    for name, info in model.model_fields.items():
        required = ", required" if info.is_required() else ""
        lines.append(f"# {describe(info)}{required}: {one_line(info.description or '')}")
        if defaults.get(name) is None:
            given = [_own(name, one) for one in info.examples or () if one is not None]
            examples = [to_toml(one) for one in given]
            lines.append(f"# {name} = {examples[0] if examples else '...'}")
        else:
            lines.append(f"{name} = {to_toml(defaults[name])}")
    return "\n".join(lines)


def _own(name: str, example: Any) -> Any:
    """The value of an option in an example, which may spell out several options."""
    several = isinstance(example, Mapping) and name in example
    return example[name] if several else example


def describe(info: FieldInfo) -> str:
    """Type and range of an option in a few words: `float in [0, 1)`, `int >= 1 or null`."""
    return _words(info.annotation, info.metadata)


def _heading(kind: Kind) -> list[str]:
    """Where a config says which component of a kind it uses."""
    place = ".".join(kind.place)
    if kind.many:
        return [
            f"# instead of `{kind.key} = [...]` in [{kind.section}], after its other keys; "
            "one such table for each, in order",
            f"[[{place}]]",
        ]
    return [
        f"# instead of `{kind.key} = ...` in [{kind.section}], after its other keys",
        f"[{place}]",
    ]


def _words(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    metadata = list(metadata)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(inner[0], [*inner[1:], *metadata])
    if origin in (Union, types.UnionType):
        return " or ".join("null" if one is type(None) else _words(one, metadata) for one in inner)
    if origin is Literal:
        return " or ".join(to_toml(one) for one in inner)
    if origin in (tuple, list):
        items = " and ".join(_words(one) for one in inner if one is not Ellipsis)
        return f"list of {items}{_range(metadata)}"
    kinds = [item.kind for item in metadata if isinstance(item, SpecKind)]
    if kinds:
        return f"component of kind {kinds[0]}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return f"{getattr(annotation, '__name__', annotation)}{_range(metadata)}"


def _range(metadata: Iterable[Any]) -> str:
    """` >= 1`, ` in [0, 1)`; in words of length for lists and text."""
    bound = {
        name: value
        for item in metadata
        for name in ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern")
        if (value := getattr(item, name, None)) is not None
    }
    low = bound.get("ge", bound.get("gt"))
    high = bound.get("le", bound.get("lt"))
    words = ""
    if low is not None and high is not None:
        opening, closing = "[" if "ge" in bound else "(", "]" if "le" in bound else ")"
        words = f" in {opening}{low}, {high}{closing}"
    elif low is not None:
        words = f" {'>=' if 'ge' in bound else '>'} {low}"
    elif high is not None:
        words = f" {'<=' if 'le' in bound else '<'} {high}"
    if "multiple_of" in bound:
        words += f", a multiple of {bound['multiple_of']}"
    if "min_length" in bound:
        words += f", at least {bound['min_length']} long"
    if "max_length" in bound:
        words += f", at most {bound['max_length']} long"
    if "pattern" in bound:
        words += f" matching {bound['pattern']}"
    return words
