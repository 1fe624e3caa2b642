"""Find differences between the configs and provenance of runs. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The parts of a run's provenance that can affect results, unlike when and where it was run.
_PROVENANCE = ("python", "platform", "torch_threads", "versions", "git", "data", "causality_probe")
_ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """A key with the value each run has there; None where it has none."""

    key: str
    values: tuple[Any, ...]


def config_differences(configs: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """Where configs differ, by dotted key. Another component is one difference, not one for each
    option that only one of the two has."""
    return [Difference(key, values) for key, values in _walk("", list(configs))]


def provenance_differences(records: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """Where versions, sources, machine and data differ; components by kind and name."""
    return [
        Difference(key, values) for key, values in _walk("", [_relevant(one) for one in records])
    ]


def _relevant(record: Mapping[str, Any]) -> dict[str, Any]:
    facts = {key: record[key] for key in _PROVENANCE if key in record}
    components = record.get("components")
    shared = [one for one in components if isinstance(one, Mapping)] if components else []
    facts["plugins"] = {
        one.get("distribution", "?"): {
            "version": one.get("version"),
            "source_sha256": one.get("source_sha256"),
        }
        for one in shared
    }
    return facts


def _walk(prefix: str, nodes: Sequence[Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    if all(_same(node, nodes[0]) for node in nodes):
        return
    mappings = [node for node in nodes if isinstance(node, Mapping)]
    names = {node["name"] for node in mappings if isinstance(node.get("name"), str)}
    if len(mappings) == len(nodes) and len(names) < 2:
        for key in dict.fromkeys(key for node in mappings for key in node):
            inner = [node.get(key, _ABSENT) for node in mappings]
            yield from _walk(f"{prefix}.{key}" if prefix else key, inner)
    else:
        yield prefix, tuple(None if node is _ABSENT else node for node in nodes)


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)
