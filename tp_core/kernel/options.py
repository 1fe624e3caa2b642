"""Typed settings of a component, and the name of a component as a setting. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

Kind = TypeVar("Kind", bound=str)
Table = TypeVar("Table", bound=BaseModel)

_RESERVED = ("name", "problems", "offers")


@dataclass(frozen=True)
class Dims:
    """The sizes a component is built for, known before torch is.

    `dim` is the width it sees on its last axis; `head_dim` and `n_heads` are those of the site it
    acts on, which an attention may set (see `Options.offers`).
    """

    dim: int
    d_model: int
    n_layers: int
    n_heads: int
    head_dim: int
    max_seq_len: int
    layer_index: int = 0
    max_steps: int = 1
    eval_interval: int = 1


class Options(BaseModel):
    """The settings of one component: a frozen pydantic model, strict, with no unknown keys.

    ```python
    class Relu2Options(Options):
        expansion: float = Field(4.0, gt=0, description="hidden width / d_model", examples=[2.0])
    ```

    Every field is described; `examples` give the conformance kit a value to vary it to. Values come
    from TOML, so `true` is not 1, `"5"` is not 5, and NaN is no number; use tuples for sequences.
    Override `problems` for what a field alone can't say, `offers` for attentions. `TypeError` for
    a class that can't be used so: a field without a description, a list, a reserved name.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        protected_namespaces=(),
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        for name, info in cls.model_fields.items():
            if name in _RESERVED:
                raise TypeError(f"{cls.__name__}: an option can't be called '{name}': reserved")
            if not info.description:
                raise TypeError(
                    f"{cls.__name__}: option '{name}' has no description; "
                    f"write {name}: ... = Field(..., description='what it does')"
                )
            if any(getattr(a, "__origin__", a) in (list, set) for a in _walk(info.annotation)):
                raise TypeError(f"{cls.__name__}: option '{name}': use tuple[...], which is frozen")

    def problems(self, dims: Dims) -> Iterable[str]:
        """Sentences on what can't work at these sizes (an odd `head_dim`, say). None by default.

        Yielded one by one, each is traced to the settings that the sizes read for it come from.
        """
        return ()

    def offers(self, dims: Dims) -> Mapping[str, Mapping[str, int]]:
        """Attentions only: the sites a positional encoding may act on, with the sizes there.

        `{"embed": {}, "rotate": {"head_dim": 16}}` offers two sites, the second with heads of 16.
        """
        return {}


@dataclass(frozen=True)
class Spec(Generic[Kind]):
    """A component chosen by name, with its options as plain data.

    As the type of an option it says of which kind: `qk_norm: Spec["norm"] | None`, or
    `Spec[Literal["norm"]]` where a type checker reads along. In a config it is written like any
    component: `"rmsnorm"` or `{ name = "rmsnorm", eps = 1e-6 }`. Once a config is resolved its
    specs hold the qualified name, every option and the kind, and `ctx.make(spec)` builds them.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ""

    if not TYPE_CHECKING:

        def __class_getitem__(cls, kind: Any) -> Any:
            literal = getattr(kind, "__args__", (kind,))[0]
            if not isinstance(literal, str):
                return super().__class_getitem__(kind)
            return Annotated[Spec, SpecKind(literal)]

    def __hash__(self) -> int:
        # Not over the values: 1 == 1.0, which no text of them would show.
        return hash((self.kind, self.name))

    def as_data(self) -> dict[str, Any]:
        """`{"name": ..., option: value, ...}`, as a config writes it."""
        return {"name": self.name, **self.options}

    @classmethod
    def parse(cls, value: Any) -> Spec[Any]:
        """From a name, or a table with a `name`. Raises `PydanticCustomError` for anything else."""
        if isinstance(value, Spec):
            return value
        if isinstance(value, str):
            return Spec(value)
        if isinstance(value, Mapping) and isinstance(value.get("name"), str):
            return Spec(value["name"], {k: v for k, v in value.items() if k != "name"})
        raise PydanticCustomError(
            "component", "must be a component: a name, or a table with a name"
        )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(_as_data)
        )


def _as_data(spec: Spec[Any]) -> dict[str, Any]:
    return spec.as_data()


@dataclass(frozen=True)
class SpecKind:
    """The kind named in `Spec["norm"]`, as pydantic keeps it in the field's annotation."""

    kind: str


def spec_kind(options: type[BaseModel], name: str) -> str | None:
    """The kind of component a field holds, or None for a plain field."""
    info = options.model_fields[name]
    marks = [*info.metadata]
    for annotation in _walk(info.annotation):
        marks += getattr(annotation, "__metadata__", ())
    return next((mark.kind for mark in marks if isinstance(mark, SpecKind)), None)


def _walk(annotation: Any) -> Iterator[Any]:
    """An annotation and every annotation inside it."""
    yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _walk(inner)


def validate(model: type[Table], data: Mapping[str, Any]) -> Table:
    """Validate plain data as if it were read from JSON, where a list may fill a tuple.

    Raises `pydantic.ValidationError`, and `TypeError` for a value JSON doesn't have (a date).
    """
    return model.model_validate_json(json.dumps(data, default=_as_json))


def _as_json(value: Any) -> Any:
    if isinstance(value, Spec):
        return value.as_data()
    raise TypeError(f"{value!r} is no text, number, boolean, list or table")
