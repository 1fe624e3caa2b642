"""The descriptor that a plugin returns for each of its components."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tp_core.kernel.options import Options

NAME = re.compile(r"[a-z][a-z0-9_]*")
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

SITES = ("embed", "rotate", "bias", "score")


@dataclass(frozen=True, kw_only=True)
class Component:
    """Describes one component, including where its class is, without importing it.

    ```python
    Component(
        name="relu2",
        target="tp_relu2.model:Relu2",
        options=Relu2Options,
        summary="Squared ReLU",
        paper="So et al. 2021, arXiv:2109.08668",
    )
    ```

    - `name`: its name in a config, `[a-z][a-z0-9_]*`.
    - `target`: `"module:Class"`, imported only when a run builds the component.
    - `summary`: one line for `tp plugins list`.
    - `options`: its `Options` subclass; by default it has no options.
    - `needs`: positional encodings only: the sites it acts on, among `embed`, `rotate`, `bias` and
      `score`. An attention that lacks one of them can't be used with it.
    - `aliases`: alternative names.
    - `paper`: its source.

    Raises `TypeError` or `ValueError` for an invalid field; the loader reports that as a broken
    plugin.
    """

    name: str
    target: str
    summary: str = ""
    options: type[Options] = Options
    needs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    paper: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "needs", _words(self, "needs"))
        object.__setattr__(self, "aliases", _words(self, "aliases"))
        for name in (self.name, *self.aliases):
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise ValueError(f"component name {name!r} must match {NAME.pattern}")
        if not isinstance(self.target, str) or not _TARGET.fullmatch(self.target):
            raise ValueError(
                f"component '{self.name}': target {self.target!r} is not 'module:Class'"
            )
        for field in ("summary", "paper"):
            if not isinstance(getattr(self, field), str):
                raise TypeError(f"component '{self.name}': {field} must be a string")
        if not (isinstance(self.options, type) and issubclass(self.options, Options)):
            raise TypeError(
                f"component '{self.name}': options must be a subclass of tp_core.Options, "
                f"not {self.options!r}"
            )
        if not self.options.__pydantic_complete__ and not self.options.model_rebuild(
            raise_errors=False
        ):
            raise TypeError(
                f"component '{self.name}': {self.options.__name__} has an option whose type isn't "
                "defined in the module of the class"
            )
        unknown = [site for site in self.needs if site not in SITES]
        if unknown:
            raise ValueError(
                f"component '{self.name}': needs {unknown[0]!r}, which is not a site; "
                f"the sites are {', '.join(SITES)}"
            )


def _words(component: Component, field: str) -> tuple[str, ...]:
    value = getattr(component, field)
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"component {component.name!r}: {field} must be a sequence of names")
    return tuple(value)
