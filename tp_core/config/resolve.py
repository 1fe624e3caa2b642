"""From a component as written (a name, or a table) to the component and its complete options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from tp_core.config.files import KeyPath
from tp_core.config.messages import explain, show
from tp_core.config.overrides import RawText, parse_value, settle
from tp_core.options import Options, Spec, spec_kind, validate
from tp_core.plugins import Catalogue, Registered, UnknownComponent

Complain = Callable[[KeyPath, str], None]


@dataclass(frozen=True)
class Chosen:
    """A component of a run: what was registered, its options, and the components inside them."""

    registered: Registered
    options: Options
    nested: tuple[Chosen, ...] = ()

    @property
    def kind(self) -> str:
        return self.registered.kind

    @property
    def name(self) -> str:
        return self.registered.qualified

    @property
    def spec(self) -> Spec[Any]:
        """The complete spec, as `config.json` holds it."""
        return Spec(self.name, self.options.model_dump(mode="json"), self.kind)

    def walk(self) -> Iterable[Chosen]:
        yield self
        for inner in self.nested:
            yield from inner.walk()


class Resolver:
    """Looks components up in one catalogue; what is wrong goes to `complain`, and None comes back."""

    def __init__(self, catalogue: Catalogue, complain: Complain) -> None:
        self.catalogue = catalogue
        self.complain = complain

    def one(self, kind: str, written: Any, key: KeyPath) -> Chosen | None:
        """Resolve one component. `written` is a name, a table with a name, or a Spec."""
        table = _as_table(written)
        if table is None:
            self.complain(
                key, f'must be a component: "name" or {{ name = "..." }}, not {show(written)}'
            )
            return None
        try:
            registered = self.catalogue.find(kind, str(table["name"]))
        except UnknownComponent as error:
            self.complain(key, str(error))
            return None
        model = registered.component.options
        given = {name: value for name, value in table.items() if name != "name"}
        plain = settle({n: v for n, v in given.items() if not _is_spec(model, n)}, model)
        nested: list[Chosen] = []
        whole = True
        for name, info in model.model_fields.items():
            inner_kind = spec_kind(model, name)
            if inner_kind is None:
                continue
            value = given.get(name, info.get_default(call_default_factory=True))
            value = parse_value(value) if isinstance(value, RawText) else value
            if value is None or (name not in given and info.is_required()):
                plain.update({name: None} if name in given else {})
                continue
            items = value if isinstance(value, (list, tuple)) else [value]
            found = [self.one(inner_kind, item, (*key, name)) for item in items]
            chosen = [c for c in found if c is not None]
            whole = whole and len(chosen) == len(found)
            nested += chosen
            specs = [c.spec.as_data() for c in chosen]
            plain[name] = specs if isinstance(value, (list, tuple)) else next(iter(specs), None)
        try:
            options = validate(model, plain)
        except (ValidationError, TypeError) as error:
            if isinstance(error, TypeError):
                self.complain(key, str(error))
                return None
            for loc, message in explain(error, model, f"{kind} '{registered.qualified}'"):
                if whole or not _is_spec(model, loc[0]):
                    self.complain((*key, *loc), message)
            return None
        assert isinstance(options, Options)
        return Chosen(registered, _with_kinds(options), tuple(nested)) if whole else None

    def many(self, kind: str, written: Any, key: KeyPath) -> tuple[Chosen, ...]:
        """Resolve a list of components; those in error are left out."""
        written = parse_value(written) if isinstance(written, RawText) else written
        if not isinstance(written, (list, tuple)):
            self.complain(key, f"must be a list of components, not {show(written)}")
            return ()
        found = [self.one(kind, item, (*key, str(i))) for i, item in enumerate(written)]
        return tuple(c for c in found if c is not None)


def resolve_spec(catalogue: Catalogue, spec: Spec[Any]) -> Chosen:
    """Resolve a spec whose kind is known. Raises `UnknownComponent` with every problem."""
    problems: list[str] = []
    resolver = Resolver(catalogue, lambda key, message: problems.append(": ".join([*key, message])))
    chosen = resolver.one(spec.kind, spec, ())
    if chosen is None:
        raise UnknownComponent("\n".join(problems))
    return chosen


def _as_table(written: Any) -> Mapping[str, Any] | None:
    if isinstance(written, Spec):
        return written.as_data()
    if isinstance(written, RawText):
        written = parse_value(written)
    if isinstance(written, str):
        return {"name": written}
    if isinstance(written, Mapping) and isinstance(written.get("name"), str):
        return written
    return None


def _is_spec(model: type[Options], name: str) -> bool:
    return name in model.model_fields and spec_kind(model, name) is not None


def _with_kinds(options: Options) -> Options:
    """Write into each nested spec which kind it is of, so that it can be built from itself alone."""
    update: dict[str, Any] = {}
    for name in type(options).model_fields:
        kind = spec_kind(type(options), name)
        value = getattr(options, name)
        if kind is None or value is None:
            continue
        if isinstance(value, tuple):
            update[name] = tuple(Spec(s.name, s.options, kind) for s in value)
        else:
            update[name] = Spec(value.name, value.options, kind)
    return options.model_copy(update=update)
