"""Reading a table into its model, and saying what is wrong with it. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from tp_core.config.source_lines import KeyPath
from tp_core.config.toml import encodes, to_toml
from tp_core.errors import did_you_mean
from tp_core.kernel.options import Spec, Table, validate

Fault = tuple[KeyPath, str]

MAX_DEPTH = 32

_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "text",
    "none_required": "null",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}


def read_table(
    model: type[Table], data: Mapping[str, Any], what: str
) -> tuple[Table | None, list[Fault]]:
    """The table as its model, or None and all that is wrong with it.

    `what` names the table, as in "[train] has no 'lr'". Faults are (key inside the table, message);
    the key is empty where the table as a whole is meant.
    """
    faults = list(_foreign(data))
    bad = {key[0] for key, _ in faults}
    try:
        table = validate(model, {name: value for name, value in data.items() if name not in bad})
    except ValidationError as error:
        return None, faults + [f for f in _explain(error, model, what) if not bad & {*f[0][:1]}]
    return (None if faults else table), faults


def _foreign(value: Any, key: KeyPath = ()) -> Iterator[Fault]:
    """What TOML or Python can write down and no setting can be."""
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
            yield key, f"{show(value)} is no Unicode text"
    elif isinstance(value, int):
        if value.bit_length() > 64:
            yield key, f"{show(value)} is more than 64 bits hold"
    elif value is not None and not isinstance(value, (float, Spec)):
        yield key, f"{show(value)} is no text, number, boolean, list or table"


def _explain(error: ValidationError, model: type[Table], what: str) -> list[Fault]:
    found: dict[KeyPath, list[Any]] = {}
    for item in error.errors():
        # The location of a union's branches names types, which are no keys.
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
        listing = f" It has: {', '.join(known)}." if known else " It has none."
        return f"{what} has no '{name}'.{did_you_mean(name, known) or listing}"
    if type_ == "missing":
        return f"{what} needs it"
    expected = list(dict.fromkeys(_expected(item) for item in items))
    text = " or ".join([expected[0], *(one.removeprefix("must be ") for one in expected[1:])])
    if not first["loc"]:
        return text
    choices = _choices(model.model_fields[str(first["loc"][0])].annotation)
    near = did_you_mean(value, choices) if isinstance(value, str) else ""
    return f"{text}, not {show(value)}{'.' + near if near else ''}"


def _expected(item: Any) -> str:
    """What should have been there: "must be a whole number"."""
    if item["type"] in _TYPES:
        return f"must be {_TYPES[item['type']]}"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    return re.sub(r"^\w+ should ", "must ", str(item["msg"]))


def _choices(annotation: Any) -> list[str]:
    """The texts a field may be, where its type says which."""
    inside = get_args(annotation)
    if get_origin(annotation) is Literal:
        return [choice for choice in inside if isinstance(choice, str)]
    return [choice for inner in inside for choice in _choices(inner)]


def show(value: Any) -> str:
    """A value as TOML writes it, cut short."""
    text = to_toml(value)
    return text if len(text) <= 60 else text[:57] + "..."
