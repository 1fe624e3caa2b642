"""What pydantic found wrong with a table, in the words of a config. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from tp_core.config.files import KeyPath
from tp_core.errors import did_you_mean

_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}


def explain(
    error: ValidationError, model: type[BaseModel], what: str, hidden: Iterable[str] = ()
) -> list[tuple[KeyPath, str]]:
    """(key, message) of each fault; `what` names the table, as in "[train] has no 'lr'".

    `hidden` are fields that exist and are none of the reader's business.
    """
    known = [name for name in model.model_fields if name not in hidden]
    found: dict[KeyPath, str] = {}
    for item in error.errors():
        # The location of a union's branches names types, which are no keys.
        key = tuple(
            str(part)
            for index, part in enumerate(item["loc"])
            if index == 0 or isinstance(part, int)
        )
        found.setdefault(key, _message(item["type"], item, known, what))
    return list(found.items())


def _message(type_: str, item: Any, known: list[str], what: str) -> str:
    value = item["input"]
    if type_ == "extra_forbidden":
        name = str(item["loc"][-1])
        listing = f" It has: {', '.join(known)}." if known else " It has none."
        return f"{what} has no '{name}'.{did_you_mean(name, known) or listing}"
    if type_ == "missing":
        return f"{what} needs it"
    if type_ in _TYPES:
        return f"must be {_TYPES[type_]}, not {show(value)}"
    if type_ == "literal_error":
        near = did_you_mean(value, _choices(item)) if isinstance(value, str) else ""
        return f"must be {item['ctx']['expected']}, not {show(value)}.{near}"
    if type_ == "value_error":
        return str(item["ctx"]["error"])
    return f"{item['msg'].replace('Input should', 'must').replace('String should', 'must')}, not {show(value)}"


def _choices(item: Any) -> list[str]:
    return [
        str(word).strip("' ") for word in item["ctx"]["expected"].replace(" or ", ",").split(",")
    ]


def show(value: Any) -> str:
    """A value as TOML writes it, cut short."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
