"""Writes docs/components.md from the descriptors and docstrings of the built-in components.

    python docs/make_components.py           # write it
    python docs/make_components.py --check   # exit 1 where it isn't what would be written

Imports no torch: docstrings are read from the sources.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from tp_core.cli.option_block import describe
from tp_core.config.plan import load_plan
from tp_core.config.toml import to_toml
from tp_core.errors import ConfigError
from tp_core.kernel import hookspecs
from tp_core.kernel.catalogue import OWN, Catalogue, RegisteredComponent, discover
from tp_core.kernel.component import SITES
from tp_core.kernel.kinds import KINDS
from tp_core.kernel.options import Options

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "components.md"
INTRO = """# Components

Everything a config can name, as built in. `tp plugins list` shows what is installed beside these,
and `tp plugins show NAME` the options as TOML to paste. This page is made by
`docs/make_components.py` from the components themselves.
"""


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        if current != text:
            print("docs/components.md is not current: run python docs/make_components.py")
            return 1
        return 0
    PAGE.write_text(text, encoding="utf-8")
    return 0


def page() -> str:
    catalogue = Catalogue([plugin for plugin in discover() if plugin.distribution == OWN])
    of_kind = {kind: catalogue.loaded(kind) for kind in KINDS}
    parts = [INTRO, "\n".join(_contents(of_kind)), *_legal(of_kind)]
    for kind, components in of_kind.items():
        parts.append(f"## {_title(kind)}\n\n{_contract(kind)}")
        parts += ["\n\n".join(_component(one)) for one in components]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _contents(of_kind: dict[str, list[RegisteredComponent]]) -> Iterator[str]:
    for kind, components in of_kind.items():
        names = ", ".join(
            f"[{c.component.name}](#{_anchor(kind, c.component.name)})" for c in components
        )
        yield f"- **{_title(kind)}**: {names}"


def _legal(of_kind: dict[str, list[RegisteredComponent]]) -> Iterator[str]:
    """Which encoding works with which attention, as the config check judges them."""
    attentions = [c.component.name for c in of_kind["attention"]]
    rows = [["", *attentions], ["---", *([":-:"] * len(attentions))]]
    count = 0
    for encoding in of_kind["positional_encoding"]:
        name, needs = encoding.component.name, encoding.component.needs
        works = [_works(name, attention) for attention in attentions]
        count += sum(works)
        site = f" ({', '.join(needs)})" if needs else ""
        rows.append([f"{name}{site}", *("yes" if one else "·" for one in works)])
    yield "## What works with what"
    yield (
        "A positional encoding acts on sites, in brackets, and an attention offers some of "
        f"{', '.join(f'`{site}`' for site in SITES)}. A pair that lacks one is refused before "
        f"anything is built. Of {len(rows[2:]) * len(attentions)} pairs {count} work, with all "
        "their options and in every block: the test suite runs them all. Norms and MLPs see one "
        "token at a time and go with everything."
    )
    yield "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _works(encoding: str, attention: str) -> bool:
    sets = [f"model.positional_encoding={encoding}", f"model.attention={attention}"]
    try:
        load_plan(ROOT / "configs" / "default.toml", sets)
    except ConfigError:
        return False
    return True


def _contract(kind: str) -> str:
    """What the kind's hook says of it."""
    return inspect.getdoc(getattr(hookspecs, KINDS[kind].hook)) or ""


def _component(registered: RegisteredComponent) -> Iterator[str]:
    component = registered.component
    yield f'### {component.name} <a id="{_anchor(registered.kind, component.name)}"></a>'
    facts = [component.summary + "."]
    if component.needs:
        facts.append(f"Acts on {', '.join(f'`{site}`' for site in component.needs)}.")
    if component.paper:
        facts.append(f"Source: {component.paper}.")
    yield " ".join(facts)
    doc = _module_doc(component.target)
    if doc:
        yield "```text\n" + doc + "\n```"
    rows = [
        f"| `{name}` | {_cell(describe(info))} | {_default(component.options, name)} "
        f"| {_cell(info.description or '')} |"
        for name, info in component.options.model_fields.items()
    ]
    if rows:
        yield "\n".join(["| option | values | default | |", "|---|---|---|---|", *rows])


def _default(options: type[Options], name: str) -> str:
    info = options.model_fields[name]
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True)
    return "null" if value is None else f"`{_cell(to_toml(value))}`"


def _module_doc(target: str) -> str:
    """The docstring of the file a component's class is in, unimported."""
    spec = importlib.util.find_spec(target.partition(":")[0])
    assert spec is not None
    assert spec.origin is not None
    return ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""


def _title(kind: str) -> str:
    words = KINDS[kind].words
    return f"{words[0].upper()}{words[1:]}{'' if kind == 'attention' else 's'}"


def _anchor(kind: str, name: str) -> str:
    return f"{kind}-{name}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
