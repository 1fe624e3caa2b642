"""The plugin kernel against distributions on disk: good ones, and every way of being wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tp_core.config.plan import load_plan
from tp_core.errors import ConfigError
from tp_core.kernel.catalogue import OWN, Catalogue, PluginRow, UnknownComponent, discover
from tp_core.kernel.kinds import KINDS

HERE = Path(__file__).parents[1]
DISTRIBUTIONS = HERE / "distributions"
DEFAULT = HERE.parent / "configs" / "default.toml"

Install = Callable[..., None]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TP_DISABLE_PLUGINS", raising=False)
    monkeypatch.delenv("TP_TRACEBACK", raising=False)


def make(place: Path, name: str, source: str, version: str = "1.0", metadata: str = "") -> Path:
    """A distribution `name` in a directory of its own, with one module."""
    module = name.replace("-", "_")
    info = place / f"{module}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        metadata or f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    )
    (info / "entry_points.txt").write_text(f"[tp]\n{module} = {module}\n")
    (place / f"{module}.py").write_text(source)
    return place


def rows_of(distribution: str, catalogue: Catalogue | None = None) -> list[PluginRow]:
    return [row for row in (catalogue or Catalogue()).rows() if row.distribution == distribution]


def only_row(distribution: str) -> PluginRow:
    (row,) = rows_of(distribution)
    return row


def refusal(kind: str, name: str, catalogue: Catalogue | None = None) -> str:
    with pytest.raises(UnknownComponent) as caught:
        (catalogue or Catalogue()).find(kind, name)
    return str(caught.value)


# What works


def test_built_ins_come_first_and_are_ok() -> None:
    assert discover()[0].distribution == OWN
    rows = rows_of(OWN)
    assert {row.kind for row in rows} == set(KINDS)
    assert {row.status for row in rows} == {"ok"}


def test_a_good_distribution_brings_its_components(install: Install) -> None:
    install("tp-good")
    assert [(r.kind, r.name, r.version, r.status) for r in rows_of("tp-good")] == [
        ("norm", "scalenorm", "0.3.0", "ok"),
        ("mlp", "relu4", "0.3.0", "ok"),
    ]
    catalogue = Catalogue()
    bare = catalogue.find("mlp", "relu4")
    assert bare.qualified == "tp-good:relu4"
    assert bare.plugin.version == "0.3.0"
    for spelling in ("quartic_relu", "tp-good:relu4", "tp-good:quartic_relu", "TP_Good:relu4"):
        assert catalogue.find("mlp", spelling) == bare
    assert "tp_good.model" not in sys.modules


def test_an_optional_hook_of_a_later_tp_is_passed_over(install: Install) -> None:
    install("tp-optional-hook")
    assert [(r.kind, r.name, r.status) for r in rows_of("tp-optional-hook")] == [
        ("norm", "now", "ok")
    ]


def test_a_distribution_twice_on_the_path_counts_once(install: Install, tmp_path: Path) -> None:
    # As an editable install does: once in the checkout, once in site-packages.
    copy = tmp_path / "checkout"
    shutil.copytree(DISTRIBUTIONS / "tp-good", copy)
    install(copy, "tp-good")
    assert [p.entry for p in discover() if p.distribution == "tp-good"] == ["good"]
    assert {row.status for row in rows_of("tp-good")} == {"ok"}
    assert Catalogue().find("norm", "scalenorm").qualified == "tp-good:scalenorm"


def test_what_a_plugin_prints_does_not_reach_stdout(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("tp-noisy")
    assert only_row("tp-noisy").status == "ok"
    out, err = capsys.readouterr()
    assert out == ""
    assert "welcome to tp-noisy" in err
    assert "handing out norms" in err


# What is broken, and says why


@pytest.mark.parametrize(
    ("distribution", "entry", "reasons"),
    [
        ("tp-raises", "raises", ["FileNotFoundError", "calibration.table", "tp_raises.py:5"]),
        ("tp-exits", "exits", ["called sys.exit(7)", "tp_exits.py:5"]),
        ("tp-missing-dependency", "needy", ["No module named 'a_library_nobody_has'", "needy.py:"]),
        ("tp-gone", "gone", ["can't load 'tp_gone'", "No module named 'tp_gone'"]),
        ("tp-unknown-hook", "typo", ["'tp_norm'", "Did you mean 'tp_norms'?", "optionalhook=True"]),
        ("tp-unmarked", "unmarked", ["registers no components (missing @hookimpl?)"]),
        ("tp-hook-raises", "hook", ["ValueError: first line second line", "tp_hook_raises.py:8"]),
        ("tp-undescribed", "terse", ["'eps' has no description", "tp_undescribed.py:6"]),
        ("tp-bad-name", "bad", ["'Rms-Norm' must match", "tp_bad_name.py:8"]),
    ],
)
def test_a_broken_plugin_is_a_row_with_its_reason(
    install: Install, distribution: str, entry: str, reasons: list[str]
) -> None:
    install(distribution)
    row = only_row(distribution)
    assert (row.kind, row.name, row.status) == ("", entry, "broken")
    assert [reason for reason in reasons if reason not in row.summary] == []
    assert "\n" not in row.summary


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("nothing", "tp_norms returned None, not a list of Component"),
        ("text", "tp_norms returned 'rmsnorm', not a list of Component"),
        ("bare", "tp_norms returned Component(name='alone'"),
        ("items", "tp_norms returned {'name': 'second'}, which is not a Component"),
        ("argument", "{'config'}"),
    ],
)
def test_a_hook_that_gives_no_list_of_components(install: Install, entry: str, reason: str) -> None:
    install("tp-rubbish")
    (row,) = [row for row in rows_of("tp-rubbish") if row.name == entry]
    assert row.status == "broken"
    assert reason in row.summary


def test_a_plugin_is_staged_whole_or_not_at_all(install: Install) -> None:
    install("tp-rubbish")
    # One hook of the plugin is fine, the other is not; the good one gives nothing either.
    assert "no mlp 'lost'" in refusal("mlp", "lost")
    assert {row.status for row in rows_of("tp-rubbish")} == {"broken"}


def test_a_syntax_error(install: Install, tmp_path: Path) -> None:
    install(make(tmp_path, "tp-syntax", "def tp_norms(:\n"))
    row = only_row("tp-syntax")
    assert row.status == "broken"
    assert "SyntaxError" in row.summary
    assert "tp_syntax.py:1" in row.summary


def test_an_interrupt_is_the_users(install: Install, tmp_path: Path) -> None:
    install(make(tmp_path, "tp-interrupt", "raise KeyboardInterrupt\n"))
    with pytest.raises(KeyboardInterrupt):
        Catalogue().rows()


def test_metadata_without_a_name_is_passed_over(install: Install, tmp_path: Path) -> None:
    place = make(tmp_path, "tp-half-removed", "", metadata="Metadata-Version: 2.1\n")
    install(place, "tp-good")
    assert {p.distribution for p in discover()} >= {OWN, "tp-good"}
    assert all(p.entry != "tp_half_removed" for p in discover())


def test_traceback_variable_shows_what_a_plugin_raised(
    install: Install, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("tp-hook-raises")
    Catalogue().rows()
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("TP_TRACEBACK", "1")
    Catalogue().rows()
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert 'raise ValueError("first line' in err


def test_a_malformed_entry_point(install: Install, tmp_path: Path) -> None:
    place = make(tmp_path, "tp-malformed", "")
    (file,) = place.glob("*/entry_points.txt")
    file.write_text("[tp]\nmalformed = not a module\n")
    install(place)
    row = only_row("tp-malformed")
    assert (row.status, row.name) == ("broken", "malformed")
    assert row.summary == "'not a module' is neither 'module' nor 'module:object'"


# Which tp it is for


@pytest.mark.parametrize(
    ("requires", "status"),
    [
        ("transformer-playground", "ok"),
        ("transformer-playground>=0.0.1", "ok"),
        ("Transformer_Playground (>=0.0.1)", "ok"),
        ("transformer-playground>=99", "incompatible"),
        ("transformer-playground<0.0.1", "incompatible"),
        ("transformer.playground[dev]~=99.0", "incompatible"),
        ('transformer-playground>=99; python_version < "3"', "ok"),
        ('transformer-playground>=99; extra == "later"', "ok"),
        ("transformer-playground-extras>=99", "ok"),
        ("transformer-playground>>99", "ok"),  # `tp plugins check` tells of it
    ],
)
def test_dependencies_say_which_tp_a_plugin_is_for(
    requires: str, status: str, install: Install, tmp_path: Path
) -> None:
    source = (
        "from tp_core import Component, hookimpl\n"
        "@hookimpl\n"
        "def tp_norms():\n"
        "    return [Component(name='made', target='tp_made:Made')]\n"
    )
    metadata = (
        "Metadata-Version: 2.1\nName: tp-made\nVersion: 1.0\n"
        f"Requires-Dist: pytest>=1\nRequires-Dist: {requires}\n"
    )
    install(make(tmp_path, "tp-made", source, metadata=metadata))
    assert only_row("tp-made").status == status


def test_no_code_of_an_incompatible_plugin_runs(install: Install) -> None:
    install("tp-future", "tp-good")
    row = only_row("tp-future")
    assert (row.status, row.import_ms, row.imports_torch) == ("incompatible", None, None)
    assert "requires transformer-playground>=99" in row.summary
    assert "tp_future" not in sys.modules
    message = refusal("norm", "tp-future:x")
    assert "plugin 'future' of tp-future, which was not loaded (incompatible): requires" in message


# What loading costs


def test_time_and_torch_are_told(install: Install) -> None:
    script = """
import json, sys
from tp_core.kernel.catalogue import Catalogue
rows = {row.name: (row.import_ms, row.imports_torch) for row in Catalogue().rows("norm")}
print(json.dumps(rows))
"""
    path = os.pathsep.join(
        str(DISTRIBUTIONS / name) for name in ("tp-alpha", "tp-eager", "tp-good")
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = json.loads(done.stdout)
    assert {name: rows[name][1] for name in ("rmsnorm", "wave", "eager", "scalenorm")} == {
        "rmsnorm": False,
        "wave": False,
        "eager": True,
        "scalenorm": None,  # tp-good comes after tp-eager: whether it did, too, can't be told
    }
    assert all(ms > 0 for ms, _ in rows.values())
    assert rows["eager"][0] > rows["wave"][0]


def test_two_hundred_plugins(install: Install, tmp_path: Path) -> None:
    places = []
    for number in range(200):
        source = (
            "from tp_core import Component, hookimpl\n"
            "@hookimpl\n"
            "def tp_norms():\n"
            f"    return [Component(name='many_{number}', target='x:Y', summary='One of many')]\n"
        )
        places.append(make(tmp_path / str(number), f"tp-many-{number:03}", source))
    install(*places)
    rows = [row for row in Catalogue().rows() if row.distribution.startswith("tp-many-")]
    assert [row.name for row in rows] == [f"many_{number}" for number in range(200)]
    assert {row.status for row in rows} == {"ok"}
    assert Catalogue().find("norm", "many_117").qualified == "tp-many-117:many_117"


def test_a_broken_plugin_harms_nobody_else(install: Install) -> None:
    install(*(p.name for p in DISTRIBUTIONS.iterdir()))
    catalogue = Catalogue()
    assert catalogue.find("norm", "rmsnorm").plugin.builtin
    assert catalogue.find("mlp", "relu4").qualified == "tp-good:relu4"
    message = refusal("norm", "unseen", catalogue)
    assert message.startswith("no norm 'unseen'.")
    for row in catalogue.rows():
        where = f"plugin '{row.name}' of {row.distribution}"
        suspect = f"{where}, which was not loaded (broken): {row.summary}"
        assert (suspect in message) == (row.status == "broken")


# Names


def test_one_name_twice_in_a_distribution(install: Install) -> None:
    install("tp-duplicate")
    found = {row.name: (row.status, row.summary) for row in rows_of("tp-duplicate")}
    assert found == {
        "twin": ("ok", ""),
        "twice": ("broken", "two components of kind norm are named 'double'; rename one"),
        "two": ("broken", "mlp 'twin' is already registered by entry point 'one'; rename one"),
    }
    assert Catalogue().find("mlp", "twin").plugin.entry == "one"


@pytest.mark.parametrize("order", [("tp-alpha", "tp-beta"), ("tp-beta", "tp-alpha")])
def test_one_name_in_two_distributions(install: Install, order: tuple[str, str]) -> None:
    install(*order)
    catalogue = Catalogue()
    assert [(r.distribution, r.status) for r in catalogue.rows("norm") if r.name == "wave"] == [
        ("tp-alpha", "ambiguous"),
        ("tp-beta", "ambiguous"),
    ]
    assert refusal("norm", "wave", catalogue) == (
        "norm 'wave' is provided by several distributions; write 'tp-alpha:wave' or 'tp-beta:wave'"
    )
    assert catalogue.find("norm", "tp-alpha:wave").component.summary == "by alpha"
    assert catalogue.find("norm", "tp-beta:wave").component.summary == "by beta"


def test_an_alias_makes_a_name_ambiguous_too(install: Install, tmp_path: Path) -> None:
    source = (
        "from tp_core import Component, hookimpl\n"
        "@hookimpl\n"
        "def tp_norms():\n"
        "    return [Component(name='ripple', aliases=('wave',), target='tp_gamma:Ripple')]\n"
    )
    install("tp-alpha", make(tmp_path, "tp-gamma", source))
    status = {(r.distribution, r.name): r.status for r in Catalogue().rows("norm")}
    assert status["tp-alpha", "wave"] == "ambiguous"
    assert status["tp-gamma", "ripple"] == "ok"
    assert "'tp-alpha:wave' or 'tp-gamma:ripple'" in refusal("norm", "wave")


def test_a_built_in_keeps_its_name(install: Install) -> None:
    install("tp-shadow")
    catalogue = Catalogue()
    assert only_row("tp-shadow").status == "shadowed"
    assert catalogue.find("norm", "rmsnorm").plugin.builtin
    assert catalogue.find("norm", "tp-shadow:rmsnorm").component.target == "tp_shadow:RmsNorm"
    names = catalogue.names("norm")
    assert "rmsnorm" in names
    assert "tp-shadow:rmsnorm" in names


def test_an_unknown_name_is_guessed_at(install: Install) -> None:
    install("tp-good")
    assert refusal("norm", "scalenrom") == "no norm 'scalenrom'. Did you mean 'scalenorm'?"
    assert "There is a component of kind norm with this name." in refusal("attention", "scalenorm")
    assert "no mlp 'relu3' in 'tp-good'. Did you mean 'relu4'?" in refusal("mlp", "tp-good:relu3")
    message = refusal("mlp", "tp-god:relu4")
    assert "no installed distribution 'tp-god'" in message
    assert "Did you mean 'tp-good'?" in message
    assert "pip install tp-god" in message


# What is switched off


@pytest.mark.parametrize("listed", ["tp-exits", "TP_Exits", " tp-other , tp-exits "])
def test_a_distribution_is_disabled_by_name(
    install: Install, monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    install("tp-exits", "tp-good")
    monkeypatch.setenv("TP_DISABLE_PLUGINS", listed)
    row = only_row("tp-exits")
    assert (row.status, row.summary) == ("disabled", "disabled by TP_DISABLE_PLUGINS")
    assert {row.status for row in rows_of("tp-good")} == {"ok"}
    assert refusal("norm", "tp-exits:x") == (
        "distribution 'tp-exits' is disabled by TP_DISABLE_PLUGINS"
    )


def test_a_star_disables_every_third_party(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install("tp-marker", "tp-good")
    monkeypatch.setenv("TP_DISABLE_PLUGINS", "*")
    catalogue = Catalogue()
    assert {row.status for row in rows_of("tp-good", catalogue)} == {"disabled"}
    assert {row.status for row in rows_of(OWN, catalogue)} == {"ok"}
    message = refusal("mlp", "relu4", catalogue)
    assert "Disabled by TP_DISABLE_PLUGINS: " in message
    assert "tp-good, tp-marker" in message
    assert not (tmp_path / "marker").exists()


# Whose code runs


def test_built_in_names_run_no_foreign_code(install: Install, tmp_path: Path) -> None:
    install("tp-marker", "tp-shadow", "tp-exits")
    plan = load_plan(DEFAULT)
    assert {c.registered.plugin.distribution for c in plan.components()} == {OWN}
    assert not (tmp_path / "marker").exists()
    assert sys.modules.keys().isdisjoint({"tp_marker", "tp_shadow"})


def test_a_config_error_runs_no_foreign_code_either(install: Install, tmp_path: Path) -> None:
    install("tp-marker")
    with pytest.raises(ConfigError):
        load_plan(DEFAULT, ["model.norm.epz=1", "model.n_heads=3", "train.lr=1"])
    assert not (tmp_path / "marker").exists()


def test_a_qualified_name_loads_its_own_distribution_alone(
    install: Install, tmp_path: Path
) -> None:
    install("tp-good", "tp-marker", "tp-alpha")
    plan = load_plan(DEFAULT, ["model.mlp=tp-good:relu4"])
    assert plan.config.model.mlp is not None
    assert plan.config.model.mlp.name == "tp-good:relu4"
    assert "tp_good" in sys.modules
    assert "tp_alpha" not in sys.modules
    assert not (tmp_path / "marker").exists()
    load_plan(DEFAULT, ["model.norm=marked"])  # a bare name asks everyone
    assert (tmp_path / "marker").exists()


def test_the_core_works_without_the_built_in_plugins(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        "[model]\n"
        'positional_encoding = "spin"\nattention = "mix"\nnorm = "scale"\nmlp = "net"\n'
        'block = "tp-whole:stack"\n'
        "[train]\n"
        'optimizer = "descend"\nschedule = "flat"\n'
        '[sampling]\nsamplers = ["cut"]\n[report]\nmetrics = ["count"]\n'
    )
    script = f"""
import sys
sys.modules["tp_plugins"] = None  # importing it fails
from pathlib import Path
from tp_core.config.plan import load_plan
from tp_core.errors import ConfigError
from tp_core.kernel.catalogue import Catalogue, discover

plugins = [plugin for plugin in discover() if not plugin.builtin]
path = Path({str(config)!r})
plan = load_plan(path, catalogue=Catalogue(plugins))
assert len(plan.components()) == 9, plan.components()
assert {{c.registered.plugin.distribution for c in plan.components()}} == {{"tp-whole"}}
try:
    load_plan(path, ["model.attention=softmax"], Catalogue(plugins))
except ConfigError as error:
    print(error)
assert "torch" not in sys.modules
# With the entry point still there, what is gone is a broken plugin like any other.
rows = [row for row in Catalogue().rows() if row.status == "broken"]
print(rows[0].distribution, rows[0].summary)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(DISTRIBUTIONS / "tp-whole")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "no attention 'softmax'. Available: mix." in done.stdout
    assert f"{OWN} can't load 'tp_plugins': ModuleNotFoundError" in done.stdout
