"""The option values a component is tested with: defaults, and each option at other values.

The other values of an option are its field's `examples`, the other members of a `Literal` or bool,
and null if the type allows it. An example can also be a dict of several options, including this
one, for a value that only has an effect with another option; a `Literal` member in such an example
is not tested alone:

```python
sinks: int = Field(0, description="...", examples=[{"sinks": 2, "window": 3}])
```

It is then compared with the same options without this one. Torch-free.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from tp_core.kernel.component import Component
from tp_core.kernel.options import Spec

DEFAULTS = "defaults"


@dataclass(frozen=True)
class Variant:
    """One set of options, as a config would write it.

    `option` is the varied option, and `reference` the options without the change. If no set of
    options can be made, `fault` says what is missing.
    """

    text: str
    options: Mapping[str, Any] = field(default_factory=dict)
    option: str = ""
    reference: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""

    @property
    def unvaried(self) -> bool:
        """Whether this stands for an option that has no other value to try."""
        return bool(self.option and self.fault)


def variants(component: Component) -> list[Variant]:
    """All sets of options that the kit tests a component with, defaults first."""
    fields = component.options.model_fields
    required = {name: _values(name, info) for name, info in fields.items() if info.is_required()}
    lacking = [name for name, values in required.items() if not values]
    if lacking:
        return [Variant(DEFAULTS, fault=_plea(name, "an example")) for name in lacking]
    base = {name: _complete(name, values[0])[name] for name, values in required.items()}
    found = [Variant(DEFAULTS, base)]
    for name, info in fields.items():
        others = _values(name, info)[1 if name in required else 0 :]
        if not others:
            number = "a second example" if name in required else "an example"
            found.append(Variant(f"{name}=?", base, name, base, _plea(name, number)))
        for value in others:
            options = {**base, **_complete(name, value)}
            reference = {**options, name: base[name]} if name in base else _without(options, name)
            found.append(Variant(_text(_complete(name, value)), options, name, reference))
    return found


def _plea(name: str, number: str) -> str:
    return (
        f"option '{name}' can't be tested at another value: give its field {number}, "
        f"{name}: ... = Field(..., examples=[...])"
    )


def _without(options: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != name}


def _complete(name: str, value: Any) -> dict[str, Any]:
    """The options a value stands for: itself, or the several an example spells out."""
    return dict(value) if _several(name, value) else {name: value}


def _several(name: str, value: Any) -> bool:
    return isinstance(value, Mapping) and name in value


def _values(name: str, info: FieldInfo) -> list[Any]:
    """The values an option is tried at, its default left out."""
    default = [] if info.is_required() else [info.get_default(call_default_factory=True)]
    taken = {_text({name: value}) for value in default}
    found = []
    values = [*(info.examples or ()), *_members(info.annotation)]
    # What stands in an example beside other options may mean nothing alone.
    taken |= {_text({name: value[name]}) for value in values if _several(name, value)}
    for value in values:
        text = _text(_complete(name, value))
        if text not in taken:
            taken.add(text)
            found.append(value)
    return found


def _members(annotation: Any) -> Iterator[Any]:
    """The values a type lists: those of a Literal, of a bool, and None."""
    origin = get_origin(annotation)
    if annotation is bool:
        yield from (False, True)
    elif annotation is type(None):
        yield None
    elif origin is Literal:
        yield from get_args(annotation)
    elif origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from _members(one)


def _text(options: Mapping[str, Any]) -> str:
    """`window=3,qk_norm=rmsnorm`"""
    return ",".join(f"{name}={_show(value)}" for name, value in options.items())


def _show(value: Any) -> str:
    if isinstance(value, Spec):
        value = value.as_data()
    if isinstance(value, Mapping) and set(value) == {"name"}:
        value = value["name"]
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), default=_as_json).replace('"', "")


def _as_json(value: Any) -> Any:
    return value.as_data() if isinstance(value, Spec) else repr(value)
