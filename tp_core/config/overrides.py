"""`--set a.b=c`, and how one table of settings is laid over another. Torch-free."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union

import tomli
from pydantic import BaseModel

from tp_core.config.files import KeyPath
from tp_core.config.schema import SECTIONS, Layer
from tp_core.errors import Problem
from tp_core.options import spec_kind


class RawText(str):
    """A value from the command line: text until the type of its field says how to read it."""

    __slots__ = ()


@dataclass(frozen=True)
class Override:
    key: KeyPath
    value: RawText

    @property
    def place(self) -> str:
        return f"--set {'.'.join(self.key)}={self.value}"


def parse_overrides(assignments: Sequence[str]) -> tuple[list[Override], list[Problem]]:
    """Split `a.b=c` arguments; a malformed one becomes a problem."""
    overrides, problems = [], []
    for text in assignments:
        name, equals, value = text.partition("=")
        key = tuple(part.strip() for part in name.split("."))
        if not equals or not all(key):
            problems.append(Problem("", "write it as section.key=value", f"--set {text}"))
        else:
            overrides.append(Override(key, RawText(value.strip())))
    return overrides, problems


def is_component(key: KeyPath) -> bool:
    """Whether the schema holds a component at this key (or in the list at it)."""
    match key:
        case ("model", "layers", _, name):
            return name in Layer.model_fields and spec_kind(Layer, name) is not None
        case (section, name) if section in SECTIONS:
            model = SECTIONS[section]
            return name in model.model_fields and spec_kind(model, name) is not None
    return False


def merge(base: Any, over: Any) -> Any:
    """Lay one setting of a component, or a table of them, over another.

    The same name, or none, merges the options; another name replaces the table.
    """
    if not isinstance(over, Mapping):
        if isinstance(over, str) and isinstance(base, Mapping) and base.get("name") == over:
            return base
        return over
    if isinstance(base, str):
        base = {"name": base}
    if not isinstance(base, Mapping) or over.get("name", base.get("name")) != base.get("name"):
        return over
    merged = dict(base)
    for name, value in over.items():
        nested = isinstance(value, Mapping) and name in base
        merged[name] = merge(base[name], value) if nested else value
    return merged


def apply(
    data: Mapping[str, Any], overrides: Sequence[Override]
) -> tuple[dict[str, Any], list[Problem]]:
    """The settings with every override laid over them, in order."""
    result: Any = data
    problems = []
    for override in overrides:
        try:
            result = _put(result, override.key, override.value, 0, False)
        except KeyError as error:
            problems.append(Problem(".".join(override.key), str(error.args[0]), override.place))
    return dict(result), problems


def _put(node: Any, key: KeyPath, value: RawText, depth: int, inside: bool) -> Any:
    """`node` with key[depth:] set; `inside` says that a component's options are being entered."""
    here = inside or is_component(key[:depth])
    if depth == len(key):
        return merge(node, _component(value)) if here else value
    part = key[depth]
    if isinstance(node, (list, tuple)):
        if not part.isdigit() or int(part) >= len(node):
            raise KeyError(f"'{part}' is not an index into the {len(node)} entries there")
        items = list(node)
        items[int(part)] = _put(items[int(part)], key, value, depth + 1, here)
        return items
    if here and isinstance(node, str):
        node = {"name": str(node)}
    if node is None:
        node = {}
    if not isinstance(node, Mapping):
        raise KeyError(f"'{'.'.join(key[:depth])}' is no table, so it has no '{part}'")
    child = node.get(part)
    if part not in node and depth + 1 == len(key):
        return {**node, part: value}
    return {**node, part: _put(child, key, value, depth + 1, here)}


def _component(value: RawText) -> Any:
    """A component from the command line may be a bare name or an inline table."""
    parsed = parse_value(value)
    return parsed if isinstance(parsed, (Mapping, list)) else value


def parse_value(text: str) -> Any:
    """`null` is None, otherwise TOML, otherwise a bare string."""
    if text == "null":
        return None
    try:
        return tomli.loads(f"value = {text}")["value"]
    except tomli.TOMLDecodeError:
        return str(text)


def settle(table: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Read every `RawText` left in a table by the type of the field it is for."""
    fields = model.model_fields
    return {
        name: _settle_value(value, fields[name].annotation if name in fields else None)
        for name, value in table.items()
    }


def _settle_value(value: Any, annotation: Any) -> Any:
    if isinstance(value, RawText):
        if _is_text(annotation):
            return None if value == "null" and _is_optional(annotation) else str(value)
        return parse_value(value)
    if isinstance(value, Mapping):
        return {name: _settle_value(item, None) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_settle_value(item, None) for item in value]
    return value


def _is_text(annotation: Any) -> bool:
    """Whether a field takes text and nothing else (None aside)."""
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return all(isinstance(choice, str) for choice in typing.get_args(annotation))
    if origin in (Union, types.UnionType):
        return all(_is_text(a) for a in typing.get_args(annotation) if a is not type(None))
    return annotation is str


def _is_optional(annotation: Any) -> bool:
    return type(None) in typing.get_args(annotation)
