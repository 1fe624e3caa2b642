"""`--set a.b=c`: its text read as a plain value, and that laid over the settings. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tp_core.config.field_types import option_type, setting_type
from tp_core.config.merge import entry, merge
from tp_core.config.parse_value import parse_value, read_as, read_component
from tp_core.config.schema import SECTIONS
from tp_core.config.source_lines import KeyPath
from tp_core.errors import Problem
from tp_core.kernel.catalogue import Catalogue
from tp_core.kernel.kinds import LAYER_KINDS, PLACES


@dataclass(frozen=True)
class Override:
    """One `--set`: the key split at its dots, and the text behind the first `=`."""

    key: KeyPath
    text: str

    @property
    def place(self) -> str:
        return _place(f"{'.'.join(self.key)}={self.text}")


def parse_overrides(assignments: Sequence[str]) -> tuple[list[Override], list[Problem]]:
    """Split `a.b=c` arguments; a malformed one becomes a problem."""
    overrides, problems = [], []
    for text in assignments:
        name, equals, value = text.partition("=")
        key = tuple(part.strip() for part in name.split("."))
        if not equals or not all(key):
            problems.append(Problem("", "write it as section.key=value", _place(text)))
        else:
            overrides.append(Override(key, value))
    return overrides, problems


def _place(text: str) -> str:
    return f"--set {text}" if len(text) <= 80 else f"--set {text[:77]}..."


def is_component(key: KeyPath) -> bool:
    """Whether the schema holds a component at this key, or a list of them."""
    match key:
        case ("model", "layers", _, name):
            return name in LAYER_KINDS
        case (section, name):
            return (section, name) in PLACES
        case (section, name, _):
            return (section, name) in PLACES and PLACES[section, name].many
    return False


def in_component(key: KeyPath) -> bool:
    """Whether a key is that of a component, or of one of its options."""
    return is_component(key[:2]) or is_component(key[:4])


def is_table(key: KeyPath) -> bool:
    """Whether the schema holds a table of settings at this key."""
    if len(key) == 1:
        return key[0] in SECTIONS
    return key[:2] == ("model", "layers") and len(key) < 4


def apply(
    data: Mapping[str, Any], overrides: Sequence[Override], catalogue: Catalogue
) -> tuple[dict[str, Any], list[Problem]]:
    """The settings with every override laid over them, in order."""
    result: Any = data
    problems = []
    for index, override in enumerate(overrides):
        before = _name_at(result, override.key)
        try:
            result = _put(result, override.key, _value(override, result, catalogue))
        except KeyError as error:
            problems.append(Problem(".".join(override.key), str(error.args[0]), override.place))
            continue
        if in_component(override.key) and before != _name_at(result, override.key):
            problems += _undone(override, overrides[:index])
    return dict(result), problems


def read_component_options(
    kind: str, name: str, texts: Mapping[str, str], catalogue: Catalogue
) -> dict[str, Any]:
    """A component as a table, the text of each option read as `--set` reads it."""
    types = {option: option_type(kind, name, (option,), catalogue) for option in texts}
    return {"name": name, **{o: read_as(types[o], text) for o, text in texts.items()}}


def _value(override: Override, data: Mapping[str, Any], catalogue: Catalogue) -> Any:
    """The plain value an override's text stands for, laid over these settings."""
    key, text = override.key, override.text
    if is_component(key) or (key[-1] == "name" and in_component(key[:-1])):
        return read_component(text)
    if is_table(key):
        table = parse_value(text)
        return table if isinstance(table, Mapping) else text
    return read_as(setting_type(key, data, catalogue), text)


def _undone(override: Override, earlier: Sequence[Override]) -> Iterator[Problem]:
    """Options that were set on a component which this override replaces by another."""
    depth = len(override.key)
    for one in earlier:
        if one.key[:depth] == override.key and one.key[depth:] not in ((), ("name",)):
            yield Problem(
                ".".join(one.key),
                f"is undone by {override.place}, which names another component: write it after",
                one.place,
            )


def _name_at(data: Any, key: KeyPath) -> str | None:
    """The name of the component at a key; None where there is none."""
    node = data
    for part in key:
        node = entry(node, part)
    name = node.get("name") if isinstance(node, Mapping) else node
    return name if isinstance(name, str) else None


def _put(node: Any, key: KeyPath, value: Any, depth: int = 0) -> Any:
    """`node`, which stands at key[:depth], with key[depth:] set."""
    inside = in_component(key[:depth])
    if depth == len(key):
        return _lay(node, value, key)
    part = key[depth]
    if isinstance(node, (list, tuple)):
        if part not in map(str, range(len(node))):
            raise KeyError(f"'{part}' is not an index into the {len(node)} entries there")
        items = list(node)
        items[int(part)] = _put(items[int(part)], key, value, depth + 1)
        return items
    if inside and part == "name" and depth + 1 == len(key):
        return merge(node, {"name": value})
    if inside and isinstance(node, str):
        node = {"name": node}
    if node is None:
        node = {}
    if not isinstance(node, Mapping):
        raise KeyError(f"'{'.'.join(key[:depth])}' is no table, so it has no '{part}'")
    return {**node, part: _put(node.get(part), key, value, depth + 1)}


def _lay(node: Any, value: Any, key: KeyPath) -> Any:
    """A setting over another; of a table each entry, its components by the rule for components."""
    if in_component(key):
        return merge(node, value)
    if not (is_table(key) and isinstance(value, Mapping)):
        return value
    base = node if isinstance(node, Mapping) else {}
    return {**base, **{name: _lay(base.get(name), v, (*key, name)) for name, v in value.items()}}
