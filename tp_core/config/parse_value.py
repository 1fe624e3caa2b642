"""Text as typed on a command line, read as the plain value it stands for. Torch-free."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union

import tomli


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


def read_as(annotation: Any, text: str) -> Any:
    """The value for a field of this type: a field of text takes the text as it stands."""
    if not _is_text(annotation):
        return parse_value(text)
    return None if text == "null" and type(None) in typing.get_args(annotation) else text


def read_component(text: str) -> Any:
    """A name, bare or quoted, or a table or list; whatever else TOML sees in it is a name too."""
    value = parse_value(text)
    return value if value is None or isinstance(value, (str, Mapping, list)) else text.strip()


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
