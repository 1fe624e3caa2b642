"""From a component as written (a name, or a table) to the component and its complete options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tp_core.config.merge import merge
from tp_core.config.messages import read_table, show
from tp_core.config.source_lines import KeyPath
from tp_core.errors import Problem, TpError
from tp_core.kernel.catalogue import Catalogue, RegisteredComponent, UnknownComponent
from tp_core.kernel.options import Options, Spec, spec_kind

AddProblem = Callable[[KeyPath, str], None]

# Components inside components inside ...: beyond this, an option's default contains itself.
MAX_DEPTH = 16


@dataclass(frozen=True)
class ResolvedComponent:
    """A component of a run: what was registered, its options, and the components inside them."""

    registered: RegisteredComponent
    options: Options
    nested: tuple[ResolvedComponent, ...] = ()

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

    def walk(self) -> Iterable[ResolvedComponent]:
        yield self
        for inner in self.nested:
            yield from inner.walk()


class ComponentResolver:
    """Looks components up in one catalogue; tells `add_problem` of a wrong one, and gives None.

    A problem with a component's name has the key `...name`, be it written as a table or not.
    """

    def __init__(self, catalogue: Catalogue, add_problem: AddProblem) -> None:
        self.catalogue = catalogue
        self.add_problem = add_problem

    def one(self, kind: str, written: Any, key: KeyPath) -> ResolvedComponent | None:
        """Resolve one component. `written` is a name, a table with a name, or a Spec."""
        table = as_table(written)
        if table is None:
            self.add_problem(
                key, f'must be a component: "name" or {{ name = "..." }}, not {show(written)}'
            )
            return None
        if len(key) > MAX_DEPTH:
            self.add_problem(key, "is nested too deeply")
            return None
        try:
            registered = self.catalogue.find(kind, str(table["name"]))
        except UnknownComponent as error:
            self.add_problem((*key, "name"), str(error))
            return None
        model = registered.component.options
        plain = {name: value for name, value in table.items() if name != "name"}
        nested: list[ResolvedComponent] = []
        broken: set[str] = set()
        for name, info in model.model_fields.items():
            inner_kind = spec_kind(model, name)
            if inner_kind is None or (name not in table and info.is_required()):
                continue
            value = option_as_written(model, table, name)
            plain[name], found = self._inside(inner_kind, value, (*key, name))
            nested += [resolved for resolved in found if resolved]
            if None in found:
                broken.add(name)
        options, faults = read_table(model, plain, f"{kind} '{registered.qualified}'")
        for inside, message in faults:
            if not broken.intersection(inside[:1]):  # told already, with its reason
                self.add_problem((*key, *inside), message)
        if options is None or broken:
            return None
        return ResolvedComponent(registered, _with_kinds(options), tuple(nested))

    def _inside(
        self, kind: str, value: Any, key: KeyPath
    ) -> tuple[Any, list[ResolvedComponent | None]]:
        """An option that is a component or a list of them: as plain data, and resolved."""
        if value is None:
            return None, []
        if isinstance(value, (list, tuple)):
            found = self.each(kind, value, key)
            return [resolved.spec for resolved in found if resolved], found
        one = self.one(kind, value, key)
        return one and one.spec, [one]

    def each(self, kind: str, written: Any, key: KeyPath) -> list[ResolvedComponent | None]:
        """Resolve a list of components; None stands for one in error."""
        if not isinstance(written, (list, tuple)):
            self.add_problem(key, f"must be a list of components, not {show(written)}")
            return []
        return [self.one(kind, item, (*key, str(i))) for i, item in enumerate(written)]


def resolve_spec(catalogue: Catalogue, spec: Spec[Any]) -> ResolvedComponent:
    """Resolve a spec whose kind is known. Raises `UnknownComponent` with every problem."""
    problems: list[str] = []

    def add_problem(key: KeyPath, message: str) -> None:
        dotted = ".".join(part for part in key if part != "name")
        problems.append(f"{dotted}: {message}" if dotted else message)

    resolved = ComponentResolver(catalogue, add_problem).one(spec.kind, spec, ())
    if resolved is None:
        raise UnknownComponent("\n".join(problems))
    return resolved


def resolve_written(
    catalogue: Catalogue, kind: str, entries: Iterable[tuple[Any, str]]
) -> tuple[ResolvedComponent, ...]:
    """Resolve components, each given as it was written and where. Raises `TpError` with every
    problem."""
    problems: list[Problem] = []
    found: list[ResolvedComponent | None] = []
    for written, place in entries:

        def add_problem(key: KeyPath, message: str, place: str = place) -> None:
            problems.append(Problem(".".join(key).removesuffix("name"), message, place))

        found.append(ComponentResolver(catalogue, add_problem).one(kind, written, ()))
    if problems:
        raise TpError("\n".join(map(str, problems)))
    return tuple(resolved for resolved in found if resolved is not None)


def as_table(written: Any) -> Mapping[str, Any] | None:
    """A component as a table with a name; None for what is no component."""
    if isinstance(written, Spec):
        return written.as_data()
    if isinstance(written, str):
        return {"name": written}
    if isinstance(written, Mapping) and isinstance(written.get("name"), str):
        return written
    return None


def option_as_written(model: type[BaseModel], table: Mapping[str, Any], name: str) -> Any:
    """What a table says of an option that is a component, or else the option's default.

    A table without a name is laid over the component the option has by default.
    """
    default = model.model_fields[name].get_default(call_default_factory=True)
    value = table.get(name, default)
    if not isinstance(value, Mapping) or "name" in value:
        return value
    return merge(default.as_data() if isinstance(default, Spec) else default, value)


def _with_kinds(options: Options) -> Options:
    """Write into each nested spec which kind it is of, so that it can be built on its own."""
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
