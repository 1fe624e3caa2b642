"""`--set a.b=c`: which setting a key means, and how its value gets there. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tp_core.config.schema import SECTIONS
from tp_core.config.source_lines import KeyPath
from tp_core.config.values import RawText, merge, parse_value
from tp_core.errors import Problem
from tp_core.kernel.kinds import LAYER_KINDS, PLACES

__all__ = ["Override", "RawText", "apply", "is_component", "is_table", "parse_overrides"]


@dataclass(frozen=True)
class Override:
    """One `--set`: the key split at its dots, and the text behind the first `=`."""

    key: KeyPath
    value: RawText

    @property
    def place(self) -> str:
        return _place(f"{'.'.join(self.key)}={self.value}")


def parse_overrides(assignments: Sequence[str]) -> tuple[list[Override], list[Problem]]:
    """Split `a.b=c` arguments; a malformed one becomes a problem."""
    overrides, problems = [], []
    for text in assignments:
        name, equals, value = text.partition("=")
        key = tuple(part.strip() for part in name.split("."))
        if not equals or not all(key):
            problems.append(Problem("", "write it as section.key=value", _place(text)))
        else:
            overrides.append(Override(key, RawText(value)))
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


def is_table(key: KeyPath) -> bool:
    """Whether the schema holds a table of settings at this key."""
    if len(key) == 1:
        return key[0] in SECTIONS
    return key[:2] == ("model", "layers") and len(key) < 4


def apply(
    data: Mapping[str, Any], overrides: Sequence[Override]
) -> tuple[dict[str, Any], list[Problem]]:
    """The settings with every override laid over them, in order."""
    result: Any = data
    problems = []
    for index, override in enumerate(overrides):
        before = _name_at(result, override.key)
        try:
            result = _put(result, override.key, override.value, 0, False)
        except KeyError as error:
            problems.append(Problem(".".join(override.key), str(error.args[0]), override.place))
            continue
        if is_component(override.key) and before != _name_at(result, override.key):
            problems += _undone(override, overrides[:index])
    return dict(result), problems


def _undone(override: Override, earlier: Sequence[Override]) -> Iterator[Problem]:
    """Options that were set on a component which this override replaces by another."""
    depth = len(override.key)
    for one in earlier:
        if (
            len(one.key) > depth
            and one.key[:depth] == override.key
            and one.key[depth:] != ("name",)
        ):
            yield Problem(
                ".".join(one.key),
                f"is undone by {override.place}, which names another component: write it after",
                one.place,
            )


def _name_at(data: Any, key: KeyPath) -> str | None:
    """The name of the component at a key; None where there is none."""
    node = data
    for part in key:
        if isinstance(node, (list, tuple)) and part in map(str, range(len(node))):
            node = node[int(part)]
        elif isinstance(node, Mapping):
            node = node.get(part)
        else:
            return None
    name = node.get("name") if isinstance(node, Mapping) else node
    return name if isinstance(name, str) else None


def _put(node: Any, key: KeyPath, value: RawText, depth: int, inside: bool) -> Any:
    """`node` with key[depth:] set; `inside` says that a component's options are being entered."""
    if depth == len(key):
        return _set(node, key, value, inside)
    here = inside or is_component(key[:depth])
    part = key[depth]
    if isinstance(node, RawText):
        node = node.read()
    if isinstance(node, (list, tuple)):
        if part not in map(str, range(len(node))):
            raise KeyError(f"'{part}' is not an index into the {len(node)} entries there")
        items = list(node)
        items[int(part)] = _put(items[int(part)], key, value, depth + 1, here)
        return items
    if here and part == "name" and depth + 1 == len(key):
        return merge(node, {"name": _component(value)})
    if here and isinstance(node, str):
        node = {"name": node}
    if node is None:
        node = {}
    if not isinstance(node, Mapping):
        raise KeyError(f"'{'.'.join(key[:depth])}' is no table, so it has no '{part}'")
    return {**node, part: _put(node.get(part), key, value, depth + 1, here)}


def _set(node: Any, key: KeyPath, value: RawText, inside: bool) -> Any:
    if is_component(key):
        return merge(node, _component(value))
    if inside:
        # Whether the option is text, a table or a component, its type will say.
        return merge(node, value)
    table = parse_value(value) if is_table(key) else None
    return _lay(node, table, key) if isinstance(table, Mapping) else value


def _component(value: RawText) -> Any:
    """A component from the command line: a name, bare or quoted, or an inline table."""
    parsed = parse_value(value)
    plain = parsed is None or isinstance(parsed, (str, Mapping, list))
    return parsed if plain else value.strip()


def _lay(node: Any, table: Mapping[str, Any], key: KeyPath) -> dict[str, Any]:
    """A table of settings over another, each of its components by the rule for components."""
    result = dict(node) if isinstance(node, Mapping) else {}
    for name, value in table.items():
        inner = (*key, name)
        if is_component(inner):
            value = merge(result.get(name), value)
        elif is_table(inner) and isinstance(value, Mapping):
            value = _lay(result.get(name), value, inner)
        result[name] = value
    return result
