"""Whatever stands in a file or on the command line, the answer is a plan or a `TpError`."""

from __future__ import annotations

import copy
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from config_helpers import DEFAULT, SMALLEST
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tp_core.config.plan import Plan, make_plan
from tp_core.config.read_file import Source, read_config
from tp_core.errors import TpError
from tp_core.kernel.catalogue import Catalogue, discover

FULL = read_config(DEFAULT).data

quick = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue([plugin for plugin in discover() if plugin.builtin], "")


def keys_of(data: Any) -> set[str]:
    if isinstance(data, dict):
        return set(data) | {key for value in data.values() for key in keys_of(value)}
    if isinstance(data, list):
        return {key for value in data for key in keys_of(value)}
    return {data} if isinstance(data, str) else set()


WORDS = sorted(
    keys_of(FULL) | {"layers", "name", "a", "window", "qk_norm", "0", "1", "null", "none", ""}
)

words = st.one_of(st.sampled_from(WORDS), st.text(max_size=5))
scalars = st.one_of(
    words,
    st.text(st.characters(), max_size=8),  # surrogates too
    st.integers(),
    st.sampled_from([0, -1, 1, 2, 2**64, 10**30, 10**400]),
    st.floats(),
    st.booleans(),
    st.none(),
    st.dates(),
    st.datetimes(),
    st.just(datetime.time(1, 2)),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=4)),
    max_leaves=12,
)


def paths(data: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something could be put into a config."""
    found = [before] if before else []
    pairs = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in pairs:
        inner = (*before, key)
        found += paths(value, inner) if isinstance(value, (dict, list)) else [inner]
    return found


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A good config with rubbish in a few places."""
    data: dict[str, Any] = copy.deepcopy(draw(st.sampled_from([SMALLEST, FULL])))
    for _ in range(draw(st.integers(1, 4))):
        node: Any = data
        path = draw(st.sampled_from(paths(data)))
        for key in path[:-1]:
            node = node[key]
        if isinstance(node, dict) and draw(st.booleans()):
            node[draw(words)] = draw(values)
        elif draw(st.booleans()):
            node[path[-1]] = draw(values)
        else:
            del node[path[-1]]
    return data


@st.composite
def assignments(draw: st.DrawFn) -> str:
    """A `--set` that starts like a good one, or doesn't."""
    path = [str(key) for key in draw(st.sampled_from(paths(FULL)))]
    path = [draw(words) if draw(st.integers(0, 5)) == 0 else key for key in path]
    path = path[: draw(st.integers(0, 4))] + draw(st.lists(words, max_size=2))
    value = draw(
        st.one_of(
            words,
            st.text(st.characters(), max_size=12),
            values.map(lambda value: json.dumps(value, default=str)),
            st.text("[]{}=,\"'.#\n 12a", max_size=10),
            st.sampled_from(['{name = "softmax"}', "{eps = 1}", "[" * 3000, "9" * 5000, "1e999"]),
        )
    )
    return ".".join(path) + draw(st.sampled_from(["=", "=", "=", ""])) + value


def answer(ask: Callable[[], Plan]) -> None:
    """A plan, or an error that can be printed."""
    error = None
    try:
        plan = ask()
    except TpError as refusal:
        error = refusal
    if error:
        assert str(error)
        assert all(problem.message for problem in getattr(error, "problems", ()))
        return
    json.dumps(plan.config.as_data(), allow_nan=False)
    assert len(plan.layers) == plan.config.model.n_layers
    assert plan.components()


@quick
@given(data=st.one_of(damaged(), st.dictionaries(words, values, max_size=4)))
def test_any_table(catalogue: Catalogue, data: dict[str, Any]) -> None:
    answer(lambda: make_plan(Source(data, Path("a.toml"), lambda key: None), (), catalogue))


@quick
@given(sets=st.lists(st.one_of(assignments(), st.text(max_size=12)), max_size=4))
@pytest.mark.parametrize("base", [SMALLEST, FULL], ids=["smallest", "full"])
def test_any_assignment(catalogue: Catalogue, base: dict[str, Any], sets: list[str]) -> None:
    answer(lambda: make_plan(Source(base, Path("a.toml"), lambda key: None), sets, catalogue))


@st.composite
def edited(draw: st.DrawFn) -> str:
    """The default config as text, with lines lost, doubled, cut or put in."""
    lines = DEFAULT.read_text().split("\n")
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(lines) - 1))
        change = draw(st.integers(0, 3))
        if change == 0:
            del lines[at]
        elif change == 1:
            lines.insert(at, draw(st.sampled_from(lines)))
        elif change == 2:
            lines[at] = lines[at][: draw(st.integers(0, 20))]
        else:
            lines.insert(at, draw(st.text(max_size=10)))
    return "\n".join(lines)


@quick
@given(text=st.one_of(edited(), st.text(max_size=40)), suffix=st.sampled_from([".toml", ".json"]))
def test_any_file(tmp_path: Path, catalogue: Catalogue, text: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text(text, newline="")
    answer(lambda: make_plan(read_config(path), (), catalogue))


@quick
@given(content=st.binary(max_size=40), suffix=st.sampled_from([".toml", ".json"]))
def test_any_bytes(tmp_path: Path, catalogue: Catalogue, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    answer(lambda: make_plan(read_config(path), (), catalogue))


@pytest.mark.parametrize("depth", [30, 100, 180, 250, 400, 700, 900, 5000])
def test_any_depth(tmp_path: Path, catalogue: Catalogue, depth: int) -> None:
    for place in ('"data": {"path": ', '"model": {"attention": ', '"x": {"y": '):
        for begin, end in (('{"a": ', "}"), ('{"name": "softmax", "qk_norm": ', "}"), ("[", "]")):
            path = tmp_path / "a.json"
            path.write_text("{" + place + begin * depth + "1" + end * depth + "}}")
            with pytest.raises(TpError):
                make_plan(read_config(path), (), catalogue)
    source = Source(SMALLEST, Path("a.toml"), lambda key: None)
    for text in ("a." * depth + "b=1", "model.attention." + "qk_norm." * depth + "eps=1"):
        with pytest.raises(TpError):
            make_plan(source, [text], catalogue)
