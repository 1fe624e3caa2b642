"""Typed options of components, and options that are components. Torch-free."""

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
    """The sizes a component is built for, known without torch.

    `dim` is the width of its last axis; `head_dim` and `n_heads` are those of the site it acts on,
    which an attention may set (see `Options.offers`).
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
    """The options of one component: a frozen, strict pydantic model that forbids unknown keys.

    ```python
    class Relu2Options(Options):
        expansion: float = Field(4.0, gt=0, description="hidden width / d_model", examples=[2.0])
    ```

    Every field needs a description; `examples` are further values for the conformance kit to test.
    Values come from TOML and are not converted: `true` is not 1, `"5"` is not 5, and NaN is
    rejected. Use tuples for sequences. Override `problems` for constraints that involve sizes or
    several fields, and `offers` in attentions. Raises `TypeError` for an invalid class: a field
    without a description, a list, or a reserved name.
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
                raise TypeError(
                    f"{cls.__name__}: '{name}' is reserved and can't be the name of an option"
                )
            if not info.description:
                raise TypeError(
                    f"{cls.__name__}: option '{name}' has no description; "
                    f"write {name}: ... = Field(..., description='what it does')"
                )
            if any(getattr(a, "__origin__", a) in (list, set) for a in _walk(info.annotation)):
                raise TypeError(
                    f"{cls.__name__}: option '{name}': use tuple[...], which is immutable"
                )

    def problems(self, dims: Dims) -> Iterable[str]:
        """Problems with these sizes, such as an odd `head_dim`, as sentences. None by default.

        If yielded one by one, each is attributed to the settings behind the sizes read for it.
        """
        return ()

    def offers(self, dims: Dims) -> Mapping[str, Mapping[str, int]]:
        """Attentions only: the sites where a positional encoding can act, with their sizes.

        `{"embed": {}, "rotate": {"head_dim": 16}}` offers two sites, the second with head_dim 16.
        """
        return {}


@dataclass(frozen=True)
class Spec(Generic[Kind]):
    """A component selected by name, with its options as plain data.

    As the type of an option it states the kind: `qk_norm: Spec["norm"] | None`, or
    `Spec[Literal["norm"]]` for type checkers. In a config it is written like any component:
    `"rmsnorm"` or `{ name = "rmsnorm", eps = 1e-6 }`. In a resolved config, a spec has the
    qualified name, all options and the kind, and `ctx.make(spec)` builds it.
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
        # Option values are left out: 1 == 1.0, but their texts differ.
        return hash((self.kind, self.name))

    def as_data(self) -> dict[str, Any]:
        """`{"name": ..., option: value, ...}`, as in a config."""
        return {"name": self.name, **self.options}

    @classmethod
    def parse(cls, value: Any) -> Spec[Any]:
        """Parse a name, or a table with a `name`. Raises `PydanticCustomError` otherwise."""
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
    """The kind in `Spec["norm"]`, stored in the field's annotation."""

    kind: str


def spec_kind(options: type[BaseModel], name: str) -> str | None:
    """The kind of component a field holds, or None for a plain field."""
    info = options.model_fields[name]
    marks = [*info.metadata]
    for annotation in _walk(info.annotation):
        marks += getattr(annotation, "__metadata__", ())
    return next((mark.kind for mark in marks if isinstance(mark, SpecKind)), None)


def _walk(annotation: Any) -> Iterator[Any]:
    """An annotation and all annotations nested in it."""
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
    raise TypeError(f"{value!r} is not a string, number, boolean, list or table")
