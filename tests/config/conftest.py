"""Components made up for one test, in a distribution called tp-fake."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tp_core.kernel.catalogue import Catalogue, Plugin, discover

HEAD = """\
from __future__ import annotations
from typing import Annotated, Literal
from pathlib import Path
from pydantic import Field, model_validator
from tp_core import Component, Dims, Options, Spec, hookimpl

def F(default=..., **kw):
    return Field(default, description="something", **kw)

def components(kind, *rows):
    def hook():
        return [Component(name=n, target="m:C", options=o, needs=s) for n, o, s in rows]
    hook.__name__ = hook.__qualname__ = f"tp_{kind}s"
    return hookimpl(hook)
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Catalogue]]:
    """`fake(code)`: the built-in components and those that `code` declares."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(code: str) -> Catalogue:
        (tmp_path / "tp_fake_module.py").write_text(HEAD + textwrap.dedent(code))
        builtin = [plugin for plugin in discover() if plugin.builtin]
        made = Catalogue([*builtin, Plugin("tp-fake", "1.0", "fake", "tp_fake_module")], "")
        broken = [one.broken for one in made.everything if one.broken]
        assert not broken, broken
        return made

    yield make
    sys.modules.pop("tp_fake_module", None)
