"""`tp plugins check`: a line for every fault, with its place."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runner import Run

from tp_core.kernel.discovery import discover
from tp_core.plugin_check import metadata

DISTRIBUTIONS = Path(__file__).parents[1] / "distributions"
MODEL = "tp_unfit/model.py"
HERE = "tp_unfit/__init__.py"

# The place, as `file:what stands in that line`, and the message.
UNFIT = {
    "silent": (HERE, "has no summary; write Component(..., summary="),
    "verbose": (HERE, "the summary of norm 'verbose' has several lines"),
    "unvaried": (HERE, "option 'eps' can't be tested at another value"),
    "out_of_range": (HERE, "rejected with eps=-1.0: eps: must be greater than 0"),
    "moving": (HERE, "read back from config.json as Moving(eps=4.0), not Moving(eps=2.0)"),
    "divides": (HERE, "problems() or offers() raises with defaults: ZeroDivisionError"),
    "turns": (HERE, "offers() names 'rotat', which is not a site. Did you mean 'rotate'?"),
    "nowhere": (HERE, "can't be imported: ModuleNotFoundError: No module named 'tp_unfit.gone'"),
    "raising": ("tp_unfit/raising.py:3", "can't be imported: SystemExit: 3"),
    "classless": (HERE, "target 'tp_unfit.model:Nrm' doesn't exist. Did you mean 'Norm'?"),
    "function": (HERE, "target 'tp_unfit.model:function' is not a class"),
    "misspelt": (f"{MODEL}:9", "has no method forward(). Is it 'foward'?"),
    "greedy": (f"{MODEL}:16", "forward() has an unknown parameter 'batch'; available: x"),
    "alone": (f"{MODEL}:21", "can't be called as Alone(options, ctx)"),
    "says_less": (MODEL, "its descriptor has needs=(), but Biases has methods for ('bias',)"),
    "says_more": (MODEL, "needs=('bias', 'rotate'), but Biases has methods for ('bias',)"),
    "nameless": (MODEL, "Metric needs a `headline`"),
}


def test_every_fault_has_a_line_with_its_place(tp: Run) -> None:
    done = tp("plugins", "check", "tp-unfit", plugins=("tp-unfit",))
    assert done.code == 1
    lines = done.out.splitlines()
    assert done.err == f"Error: {len(lines)} errors\n"
    for name, (place, message) in UNFIT.items():
        mine = [line for line in lines if f"'{name}'" in line and message in line]
        assert len(mine) == 1, name
        assert f"error: {DISTRIBUTIONS / 'tp-unfit' / place}:" in mine[0]
    assert len(lines) == len(UNFIT) + 1  # `moving` moves at both of its values
    assert "'fine'" not in done.out


def test_as_json(tp: Run) -> None:
    done = tp("plugins", "check", "tp-duplicate", "--json", plugins=("tp-duplicate",))
    assert done.code == 1
    data = json.loads(done.out)
    assert (data["schema_version"], data["ok"]) == (1, False)
    (one,) = data["distributions"]
    assert (one["distribution"], one["version"]) == ("tp-duplicate", "1.0")
    assert one["components"] == [{"kind": "mlp", "name": "twin"}]
    assert [finding["level"] for finding in one["findings"]] == [*["error"] * 4, "warning"]
    assert set(one["findings"][0]) == {"level", "place", "message", "hint"}


def test_the_built_ins_have_nothing_wrong_and_torch_stays_outside() -> None:
    code = (
        "import sys; from tp_core.cli import main; code = main(['plugins', 'check', "
        "'transformer-playground']); sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("components, no problems found\n")
    assert len(done.stdout.splitlines()) == 1
    said = "next, test what its components compute: tp plugins test transformer-playground\n"
    assert done.stderr == said


@pytest.mark.parametrize(
    ("distribution", "messages"),
    [
        ("tp-exits", ["tp_exits.py: entry point 'exits': called sys.exit(7)"]),
        ("tp-gone", ["entry point 'gone': can't load 'tp_gone'", "--force-reinstall tp-gone"]),
        ("tp-unknown-hook", ["Did you mean 'tp_norms'?"]),
        ("tp-undescribed", ["'eps' has no description"]),
        ("tp-eager", ["tp_eager.py:3: importing the descriptors imports torch"]),
        (
            "tp-kills",
            [
                "requires 'transformer-playground>>1', which is not a valid requirement",
                "importing 'tp_kills_model:Norm' ended the process with code 9",
            ],
        ),
        ("tp-future", ["requires transformer-playground>=99"]),
        ("tp-damaged", ["its entry_points.txt can't be read"]),
        ("damaged-entry-points", ["has no entry point of group 'tp'"]),
    ],
)
def test_what_can_go_wrong(tp: Run, distribution: str, messages: list[str]) -> None:
    done = tp("plugins", "check", distribution, plugins=(distribution,))
    assert done.code == 1
    errors = [line for line in done.out.splitlines() if ": error: " in line]
    assert len(errors) == len(messages) or distribution == "tp-gone"
    for message in messages:
        assert any(message in line for line in errors), message
    assert "Traceback" not in done.out + done.err


def test_what_only_warns(tp: Run) -> None:
    done = tp("plugins", "check", "tp-leaky", plugins=("tp-leaky",))
    assert done.code == 0
    assert done.out == (
        "tp-leaky: warning: tp-leaky 1.0.0: doesn't declare which versions of tp it supports; "
        'add dependencies = ["transformer-playground>=..."] to its pyproject.toml and install it '
        "again\n"
    )


def test_a_shadowed_name_warns(tp: Run) -> None:
    done = tp("plugins", "check", "tp-shadow", plugins=("tp-shadow",))
    assert "warning: norm 'rmsnorm': has the name of a built-in" in done.out
    assert "'tp-shadow:rmsnorm'" in done.out


def test_who_is_not_installed(tp: Run) -> None:
    done = tp("plugins", "check", "tp-god", plugins=("tp-good",))
    assert (done.code, done.out) == (2, "")
    assert "no distribution 'tp-god' is installed. Did you mean 'tp-good'?" in done.err
    assert "pip install tp-god" in done.err


def test_everything(tp: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_DISABLE_PLUGINS", "tp-exits")
    plugins = ("tp-exits", "tp-future", "damaged-encoding")
    done = tp("plugins", "check", "--json", plugins=plugins)
    assert done.code == 1
    found = {one["distribution"]: one for one in json.loads(done.out)["distributions"]}
    assert found["transformer-playground"]["findings"] == []
    assert found["tp-future"]["findings"][0]["level"] == "error"
    assert "tp-exits" not in found  # disabled, so none of its code may run
    (damaged,) = found["damaged_encoding-1.0.dist-info"]["findings"]
    assert damaged["level"] == "warning"
    assert "can't be read, so tp ignores it: UnicodeDecodeError" in damaged["message"]


# An editable install whose pyproject.toml has moved on

Edit = Callable[..., Path]


@pytest.fixture
def editable(install: Callable[..., None], tmp_path: Path) -> Edit:
    """tp-alpha as installed from a checkout with this pyproject.toml."""

    def put(pyproject: str, entry_points: str | None = None) -> Path:
        site, checkout = tmp_path / "site", tmp_path / "checkout"
        shutil.copytree(DISTRIBUTIONS / "tp-alpha", site)
        checkout.mkdir()
        (checkout / "pyproject.toml").write_text(pyproject)
        (info,) = site.glob("*.dist-info")
        record = {"url": checkout.as_uri(), "dir_info": {"editable": True}}
        (info / "direct_url.json").write_text(json.dumps(record))
        if entry_points is not None:
            (info / "entry_points.txt").write_text(entry_points)
        install(site)
        return checkout

    return put


PROJECT = '[project]\nname = "tp-alpha"\nversion = "1.0"\n[project.entry-points.tp]\n'


@pytest.mark.parametrize(
    ("pyproject", "message"),
    [
        (
            f'{PROJECT}alpha = "tp_alpha"\nmore = "tp_alpha.more"\n',
            'entry point more = "tp_alpha.more" isn\'t in the installed metadata',
        ),
        (
            f'{PROJECT}alpha = "tp_alpha.plugin"\n',
            'entry point alpha = "tp_alpha.plugin" is installed as "tp_alpha"',
        ),
        (PROJECT, "doesn't declare entry point 'alpha', which is installed"),
        (
            PROJECT.replace("1.0", "1.1") + 'alpha = "tp_alpha"\n',
            "declares version 1.1, but 1.0 is installed",
        ),
        ("[project\n", "can't be read: "),
    ],
)
def test_an_editable_install_behind_its_checkout(
    editable: Edit, pyproject: str, message: str
) -> None:
    checkout = editable(pyproject)
    plugins = [plugin for plugin in discover() if plugin.distribution == "tp-alpha"]
    (finding,) = metadata.findings(plugins, metadata.editable_checkouts()["tp-alpha"])
    assert finding.level == "error"
    assert str(finding).startswith(f"{checkout / 'pyproject.toml'}: {message}")
    again = f"reinstall: pip install -e {checkout}"
    assert str(finding).endswith(again) == ("[project]" in pyproject)


def test_entry_points_added_after_the_install(tp: Run, editable: Edit) -> None:
    checkout = editable(PROJECT + 'alpha = "tp_alpha"\n', entry_points="")
    done = tp("plugins", "check", "tp-alpha")
    assert done.code == 1
    assert done.out == (
        f'tp-alpha: error: {checkout / "pyproject.toml"}: entry point alpha = "tp_alpha" isn\'t in '
        f"the installed metadata; reinstall: pip install -e {checkout}\n"
    )


def test_an_editable_install_that_is_up_to_date(editable: Edit) -> None:
    editable(f'{PROJECT}alpha = "tp_alpha"\n')
    plugins = [plugin for plugin in discover() if plugin.distribution == "tp-alpha"]
    assert not list(metadata.findings(plugins, metadata.editable_checkouts()["tp-alpha"]))
