"""Values as typed on a command line, and how one setting is laid over another. Torch-free."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union

import tomli
from pydantic import BaseModel


class RawText(str):
    """A value from the command line: text until the type of its field says how to read it.

    `under` is what stood there before; a table or a component is laid over it.
    """

    under: Any

    def __new__(cls, text: str, under: Any = None) -> RawText:
        self = super().__new__(cls, text)
        self.under = under
        return self

    def read(self) -> Any:
        """The value for a field that is not plain text."""
        return merge(self.under, parse_value(self))


def parse_value(text: str) -> Any:
    """`null` is None, otherwise TOML, otherwise a bare string."""
    text = text.strip()
    if text == "null":
        return None
    try:
        data = tomli.loads(f"value = {text}")
    except (ValueError, RecursionError):  # not TOML, a number of 5000 digits, a thousand brackets
        return text
    return data["value"] if len(data) == 1 else text  # a line break may begin another statement


def merge(base: Any, over: Any) -> Any:
    """Lay one setting of a component, or a table of them, over another.

    The same name, or none, merges the options; another name replaces the table.
    """
    if isinstance(over, RawText):
        return RawText(over, base if over.under is None else merge(base, over.under))
    if isinstance(base, RawText):
        base = base.read()
    if isinstance(over, str):
        return base if isinstance(base, Mapping) and base.get("name") == over else over
    if not isinstance(over, Mapping):
        return over
    if isinstance(base, str):
        base = {"name": base}
    if not isinstance(base, Mapping) or over.get("name", base.get("name")) != base.get("name"):
        return over
    laid = {name: merge(base[name], v) if name in base else v for name, v in over.items()}
    return {**base, **laid}


def settle(table: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Read every `RawText` left in a table by the type of the field it is for."""
    fields = model.model_fields
    return {
        name: _settle(value, fields[name].annotation if name in fields else None)
        for name, value in table.items()
    }


def _settle(value: Any, annotation: Any) -> Any:
    if isinstance(value, RawText):
        if not _is_text(annotation):
            return _settle(value.read(), annotation)
        return None if value == "null" and type(None) in typing.get_args(annotation) else str(value)
    if isinstance(value, Mapping):
        return {name: _settle(item, _element(annotation, -1)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_settle(item, _element(annotation, index)) for index, item in enumerate(value)]
    return value


def _is_text(annotation: Any) -> bool:
    """Whether a field takes text and nothing else (None aside)."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return all(isinstance(choice, str) for choice in inner)
    if origin is Annotated:
        return _is_text(inner[0])
    if origin in (Union, types.UnionType):
        return all(_is_text(a) for a in inner if a is not type(None))
    return isinstance(annotation, type) and issubclass(annotation, (str, PurePath))


def _element(annotation: Any, index: int) -> Any:
    """The type of an entry of a tuple or a dict, None where that is not plain."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType, Annotated):
        found = [_element(a, index) for a in inner if a is not type(None)]
        return found[0] if found else None
    if origin is dict or (origin is tuple and inner[-1] is Ellipsis):
        return inner[-1] if origin is dict else inner[0]
    return inner[index] if origin is tuple and 0 <= index < len(inner) else None
