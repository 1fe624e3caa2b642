"""`tp plugins list` and `tp plugins show`."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from cli_runner import TP, Run

from tp_core.kernel.catalogue import Catalogue
from tp_core.kernel.kinds import KINDS
from tp_core.kernel.loading import locate

DISTRIBUTIONS = Path(__file__).parents[1] / "distributions"
BROKEN = ("tp-exits", "tp-raises")


def test_list_names_every_built_in(tp: Run) -> None:
    done = tp("plugins", "list")
    assert (done.code, done.err) == (0, "")
    header, *lines = done.out.splitlines()
    assert header.split() == ["kind", "name", "distribution", "status", "summary"]
    rows = Catalogue().rows()
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert line.split()[:4] == [row.kind or "-", row.name, row.distribution, row.status]
        assert line.endswith(row.summary)


def test_a_verbose_list_has_versions_and_load_times(tp: Run) -> None:
    done = tp("plugins", "list", "--verbose")
    assert (done.code, done.err) == (0, "")
    header, *lines = done.out.splitlines()
    assert header.split() == [
        *("kind", "name", "distribution", "version", "status", "ms", "torch", "summary")
    ]
    rows = Catalogue().rows()
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        expected = [row.kind or "-", row.name, row.distribution, row.version, row.status]
        assert line.split()[:5] == expected
        assert float(line.split()[5]) >= 0
        assert line.split()[6] in ("no", "?")  # "?" where another test has imported torch
        assert line.endswith(row.summary)


def test_list_of_one_kind(tp: Run) -> None:
    lines = tp("plugins", "list", "--kind", "norm").out.splitlines()[1:]
    assert {line.split()[0] for line in lines} == {"norm"}


def test_list_shows_what_is_broken_and_goes_on(tp: Run) -> None:
    done = tp("plugins", "list", "--kind", "norm", plugins=(*BROKEN, "tp-good"))
    assert done.code == 0
    found = {line.split()[1]: line for line in done.out.splitlines()}
    assert "called sys.exit(7)" in found["exits"]
    assert "calibration.table" in found["raises"]
    assert found["exits"].split()[:4] == ["-", "exits", "tp-exits", "broken"]
    assert found["scalenorm"].split()[3] == "ok"
    assert done.err == "some plugins are broken; for details run: tp plugins check tp-exits\n"


def test_list_shows_what_is_not_for_this_tp_and_what_is_off(
    tp: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TP_DISABLE_PLUGINS", "tp-exits")
    done = tp("plugins", "list", "--verbose", "--kind", "norm", plugins=("tp-future", "tp-exits"))
    found = {line.split()[1]: line.split()[:7] for line in done.out.splitlines()}
    assert (done.code, done.err) == (0, "")
    assert found["future"] == ["-", "future", "tp-future", "1.0", "incompatible", "-", "-"]
    assert found["exits"] == ["-", "exits", "tp-exits", "1.0", "disabled", "-", "-"]


def test_list_tells_of_torch() -> None:
    code = "from tp_core.cli import main; main(['plugins', 'list', '--verbose'])"
    path = str(DISTRIBUTIONS / "tp-eager")
    out = subprocess.run(
        [*TP[:1], "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    torch = {line.split()[1]: line.split()[6] for line in out.splitlines()}
    assert (torch["rmsnorm"], torch["eager"]) == ("no", "yes")


def test_list_as_json_is_json_whatever_a_plugin_prints(tp: Run) -> None:
    done = tp("plugins", "list", "--json", plugins=("tp-noisy", *BROKEN))
    assert done.code == 0
    data = json.loads(done.out)
    assert data["schema_version"] == 1
    found = {one["name"]: one for one in data["components"]}
    assert found["rmsnorm"]["kind"] == "norm"
    quiet = found["quiet"]
    assert quiet.pop("import_ms") > 0
    assert quiet.pop("imports_torch") in (False, None)  # None where another test has imported it
    assert quiet == {
        "kind": "norm",
        "name": "quiet",
        "distribution": "tp-noisy",
        "version": "1.0",
        "status": "ok",
        "summary": "\x1b[2Jcleared\nthe screen",
    }
    assert (found["exits"]["kind"], found["exits"]["status"]) == (None, "broken")
    assert "welcome to tp-noisy" in done.err


def test_what_a_plugin_says_drives_no_terminal(tp: Run) -> None:
    done = tp("plugins", "list", plugins=("tp-noisy",))
    (line,) = [line for line in done.out.splitlines() if " quiet " in line]
    assert line.endswith(r"\x1b[2Jcleared the screen")
    done = tp("plugins", "show", "quiet", plugins=("tp-noisy",))
    assert r"\x1b[2Jcleared the screen" in done.out
    assert "\x1b" not in done.out


def on_a_terminal(columns: int, *args: str, **environment: str) -> str:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*TP, *args],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={
            **os.environ,
            "COLUMNS": str(columns),
            "TERM": "xterm",
            "PYTHONPATH": str(DISTRIBUTIONS / "tp-exits"),
            **environment,
        },
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    _, err = process.communicate()
    said = b"some plugins are broken; for details run: tp plugins check tp-exits\n"
    assert (process.returncode, err) == (0, said)
    return seen.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [50, 120])
def test_a_terminal_loses_nothing(columns: int) -> None:
    text = re.sub(r"\x1b\[\d*m", "", on_a_terminal(columns, "plugins", "list", NO_COLOR="1"))
    words = text.split()
    headings = [line for line in text.splitlines() if not line.startswith(" ")]
    assert headings == [*KINDS, "no components"]
    for row in Catalogue().rows():
        for word in (row.name, row.distribution, *row.summary.split()):
            assert any(word in one for one in words), f"{word} is cut"
    assert "called sys.exit(7)" in " ".join(words)
    if columns > 50:  # a narrower one wraps the lines itself
        assert max(map(len, text.splitlines())) <= columns


def test_a_terminal_has_colours_unless_told_not_to() -> None:
    assert "\x1b[31mbroken" in on_a_terminal(100, "plugins", "list")
    plain = on_a_terminal(100, "plugins", "list", NO_COLOR="1")
    assert "\x1b[3" not in plain
    assert "broken" in plain


def test_show_a_built_in(tp: Run) -> None:
    done = tp("plugins", "show", "softmax")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "softmax (attention)"
    facts = dict(line.split(maxsplit=1) for line in lines[1:] if line.startswith("  "))
    assert facts["from"].startswith("transformer-playground ")
    assert facts["status"] == "ok"
    assert facts["offers"] == "embed, rotate, bias, score"
    assert facts["target"] == "tp_plugins.attentions.softmax:Softmax"
    assert Path(facts["file"]).name == "softmax.py"
    assert Path(facts["file"]).is_file()
    assert "Vaswani" in facts["paper"]
    assert "aliases" not in facts
    assert "[model.attention]" in lines
    assert 'name = "softmax"' in lines
    assert "# n_kv_heads = 1" in lines
    assert "bias = false" in lines


def test_show_an_encoding_says_what_it_needs(tp: Run) -> None:
    assert "  needs    rotate\n" in tp("plugins", "show", "rope").out
    assert "  needs    none\n" in tp("plugins", "show", "none").out


def test_show_a_third_partys(tp: Run) -> None:
    done = tp("plugins", "show", "quartic_relu", plugins=("tp-good",))
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "tp-good:relu4 (mlp)"
    assert "  from     tp-good 0.3.0" in lines
    assert "  aliases  quartic_relu" in lines
    # Importing the target would have failed.
    assert f"  file     {DISTRIBUTIONS / 'tp-good' / 'tp_good' / 'model.py'}" in lines
    assert 'name = "tp-good:relu4"' in lines


def test_show_a_shadowed_one_says_how_to_write_it(tp: Run) -> None:
    done = tp("plugins", "show", "tp-shadow:rmsnorm", plugins=("tp-shadow",))
    assert "  status   shadowed: write 'tp-shadow:rmsnorm'\n" in done.out
    assert 'name = "tp-shadow:rmsnorm"' in done.out
    built_in = tp("plugins", "show", "rmsnorm", plugins=("tp-shadow",))
    assert built_in.out.startswith("rmsnorm (norm)\n")
    assert "tp-shadow" not in built_in.out


def test_show_a_name_of_several_kinds_shows_them_all(tp: Run) -> None:
    plugins = ("tp-duplicate", "tp-namesake")
    done = tp("plugins", "show", "twin", plugins=plugins)
    titles = [line for line in done.out.splitlines() if line.endswith(("(attention)", "(mlp)"))]
    assert titles == ["tp-namesake:twin (attention)", "tp-duplicate:twin (mlp)"]
    one = tp("plugins", "show", "twin", "--kind", "mlp", plugins=plugins)
    assert one.out.startswith("tp-duplicate:twin (mlp)\n")
    assert "attention" not in one.out


def test_show_an_attention_whose_sites_depend_on_its_options(tp: Run) -> None:
    done = tp("plugins", "show", "tp-namesake:twin", plugins=("tp-namesake",))
    assert done.code == 0
    assert "  offers   unknown: needs its options to be set (ValidationError)\n" in done.out
    assert "# int, required: how far it looks\n# reach = 3" in done.out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["sofmax"], "no component 'sofmax'. Did you mean 'softmax'?"),
        (["zzzzzz"], "`tp plugins list` lists all"),
        (
            ["softmax", "--kind", "norm"],
            "no norm 'softmax'. There is a component of kind attention with this name.",
        ),
        (["tp-nobody:x"], "no installed distribution 'tp-nobody'"),
    ],
)
def test_show_an_unknown_name(tp: Run, args: list[str], message: str) -> None:
    done = tp("plugins", "show", *args)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_show_an_ambiguous_name(tp: Run) -> None:
    done = tp("plugins", "show", "wave", plugins=("tp-alpha", "tp-beta"))
    assert done.code == 2
    assert "write 'tp-alpha:wave' or 'tp-beta:wave'" in done.err


def test_show_an_unknown_name_tells_of_broken_plugins(tp: Run) -> None:
    done = tp("plugins", "show", "lost", plugins=("tp-exits",))
    assert done.code == 2
    assert (
        "plugin 'exits' of tp-exits, which was not loaded (broken): called sys.exit(7)" in done.err
    )


def test_locate_imports_nothing_and_survives_everything() -> None:
    assert locate("json.decoder") == json.decoder.__file__
    assert locate("json.no_such") is None
    assert locate("no_such_package.at_all") is None
    # `token` is a module of its own, and nothing below a module that is no package.
    assert locate("json.decoder.token") is None
