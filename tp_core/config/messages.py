"""Validate a config table, and describe what is wrong with it. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from tp_core.config.source_lines import KeyPath
from tp_core.config.toml_writer import encodes, to_toml
from tp_core.errors import did_you_mean
from tp_core.kernel.options import Spec, Table, validate

Fault = tuple[KeyPath, str]

MAX_DEPTH = 32

_TYPES = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a string",
    "path_type": "a string",
    "none_required": "null",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}


def read_table(
    model: type[Table], data: Mapping[str, Any], what: str
) -> tuple[Table | None, list[Fault]]:
    """The validated table, or None, and a list of faults.

    `what` names the table in messages, as in "[train] has no key 'lr'". A fault is (key inside the
    table, message); the key is empty for a fault of the whole table.
    """
    faults = list(_foreign(data))
    bad = {key[0] for key, _ in faults}
    try:
        table = validate(model, {name: value for name, value in data.items() if name not in bad})
    except ValidationError as error:
        return None, faults + [f for f in _explain(error, model, what) if not bad & {*f[0][:1]}]
    return (None if faults else table), faults


def _foreign(value: Any, key: KeyPath = ()) -> Iterator[Fault]:
    """Values that TOML or Python can express but no setting can have."""
    if len(key) > MAX_DEPTH:
        yield key[:1], "is nested too deeply"
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _foreign(name, (*key, name))
            yield from _foreign(item, (*key, name))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _foreign(item, (*key, str(index)))
    elif isinstance(value, str):
        if not encodes(value):
            yield key, f"{show(value)} is not valid Unicode text"
    elif isinstance(value, int):
        if value.bit_length() > 64:
            yield key, f"{show(value)} doesn't fit in 64 bits"
    elif value is not None and not isinstance(value, (float, Spec)):
        yield key, f"{show(value)} is not a string, number, boolean, list or table"


def _explain(error: ValidationError, model: type[Table], what: str) -> list[Fault]:
    found: dict[KeyPath, list[Any]] = {}
    for item in error.errors():
        # In a union, the location also names types, which are not keys.
        key = tuple(
            str(part)
            for index, part in enumerate(item["loc"])
            if index == 0 or isinstance(part, int)
        )
        found.setdefault(key, []).append(item)
    return [(key, _message(items, model, what)) for key, items in found.items()]


def _message(items: list[Any], model: type[BaseModel], what: str) -> str:
    first = items[0]
    value, type_ = first["input"], first["type"]
    if type_ == "extra_forbidden":
        name, known = str(first["loc"][-1]), list(model.model_fields)
        listing = f" Valid keys: {', '.join(known)}." if known else " It has no keys."
        return f"{what} has no key '{name}'.{did_you_mean(name, known) or listing}"
    if type_ == "missing":
        return f"is required by {what}"
    expected = list(dict.fromkeys(_expected(item) for item in items))
    text = " or ".join([expected[0], *(one.removeprefix("must be ") for one in expected[1:])])
    if not first["loc"]:
        return text
    choices = _choices(model.model_fields[str(first["loc"][0])].annotation)
    near = did_you_mean(value, choices) if isinstance(value, str) else ""
    return f"{text}, not {show(value)}{'.' + near if near else ''}"


def _expected(item: Any) -> str:
    """What was expected: "must be an integer"."""
    if item["type"] in _TYPES:
        return f"must be {_TYPES[item['type']]}"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    return re.sub(r"^\w+ should ", "must ", str(item["msg"]))


def _choices(annotation: Any) -> list[str]:
    """The strings a field accepts, if its type lists them."""
    inside = get_args(annotation)
    if get_origin(annotation) is Literal:
        return [choice for choice in inside if isinstance(choice, str)]
    return [choice for inner in inside for choice in _choices(inner)]


def show(value: Any) -> str:
    """A value as TOML, truncated."""
    text = to_toml(value)
    return text if len(text) <= 60 else text[:57] + "..."
