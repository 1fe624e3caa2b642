"""Which type the setting at a key has: by the schema, and by the options of the component there.

What names no component has yet, or one that isn't installed, has no type: None. Torch-free.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union

from pydantic import BaseModel

from tp_core.config.components import as_table, option_as_written
from tp_core.config.merge import entry, merge
from tp_core.config.schema import SECTIONS, LayerConfig
from tp_core.config.source_lines import KeyPath
from tp_core.kernel.catalogue import Catalogue, UnknownComponent
from tp_core.kernel.options import spec_kind


def setting_type(key: KeyPath, data: Mapping[str, Any], catalogue: Catalogue) -> Any:
    """The type of the setting at `key`, with the components that `data` names."""
    match key:
        case ("model", "layers", label, *inside) if inside:
            model = data.get("model")
            own = entry(entry(model, "layers"), label)
            return _field_type(LayerConfig, merge(model, own or {}), inside, catalogue)
        case (section, *inside) if section in SECTIONS and inside:
            return _field_type(SECTIONS[section], data.get(section), inside, catalogue)
    return None


def option_type(kind: str, written: Any, key: Sequence[str], catalogue: Catalogue) -> Any:
    """The type of the option at `key` inside a component as written."""
    table = as_table(written)
    if table is None or not key:
        return None
    try:
        options = catalogue.find(kind, table["name"]).component.options
    except UnknownComponent:
        return None
    return _field_type(options, table, key, catalogue)


def _field_type(
    model: type[BaseModel], table: Any, key: Sequence[str], catalogue: Catalogue
) -> Any:
    name, *inside = key
    if name not in model.model_fields:
        return None
    kind = spec_kind(model, name)
    if kind is None:
        annotation = model.model_fields[name].annotation
        for part in inside:
            annotation = _element(annotation, part)
        return annotation
    value = option_as_written(model, table if isinstance(table, Mapping) else {}, name)
    if isinstance(value, (list, tuple)) and inside:
        value, inside = entry(value, inside[0]), inside[1:]
    return option_type(kind, value, inside, catalogue)


def _element(annotation: Any, part: str) -> Any:
    """The type of an entry of a tuple or a dict, None where that is not plain."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType, Annotated):
        return next((_element(a, part) for a in inner if a is not type(None)), None)
    if origin is dict or (origin is tuple and inner[-1] is Ellipsis):
        return inner[-1] if origin is dict else inner[0]
    return entry(inner, part) if origin is tuple else None
