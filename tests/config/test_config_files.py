"""Reading a config: what can't be read is one problem, and every key knows its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_helpers import DEFAULT, file_problems

from tp_core.config.plan import load_plan
from tp_core.config.read_file import read_config

TOML = """\
# a comment
[data]
path = "x.txt"

[model]   # the model
d_model = 128
attention = { name = "softmax", window = 3 }
norm.name = "rmsnorm"
norm.eps = 1e-6
pattern = [
    "local", # the first

    "global",
]

[model.layers.local.mlp]
name = "gelu"

[sampling]
max_new_tokens = 3
samplers = [
    { name = "temperature", temperature = 1.0 },

    # then
    { name = "top_p", p = 1.0 }, { name = "greedy" },
]

[[report.metrics]]
name = "likelihood"

[[report.metrics]]
name = "unique_rate"
"""

LINES = {
    "data": 2,
    "data.path": 3,
    "model": 5,
    "model.d_model": 6,
    "model.attention": 7,
    "model.attention.window": 7,
    "model.norm": 8,
    "model.norm.name": 8,
    "model.norm.eps": 9,
    "model.pattern": 10,
    "model.pattern.0": 11,
    "model.pattern.1": 13,
    "model.layers.local": 16,
    "model.layers.local.mlp": 16,
    "model.layers.local.mlp.name": 17,
    "sampling.samplers": 21,
    "sampling.samplers.0": 22,
    "sampling.samplers.0.temperature": 22,
    "sampling.samplers.1": 25,
    "sampling.samplers.1.p": 25,
    "sampling.samplers.2": 25,
    "report.metrics.0": 28,
    "report.metrics.0.name": 29,
    "report.metrics.1": 31,
    "report.metrics.1.name": 32,
    # what isn't there has the line of the nearest thing around it
    "model.mlp": 5,
    "model.attention.heads": 7,
    "sampling.samplers.1.q": 25,
    "report.metrics.1.x": 31,
}


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_toml_key_has_its_line(tmp_path: Path, ending: str, mark: bytes) -> None:
    path = tmp_path / "my.toml"
    path.write_bytes(mark + TOML.replace("\n", ending).encode())
    source = read_config(path)
    assert source.data["model"]["pattern"] == ["local", "global"]
    for key, line in LINES.items():
        assert source.place(tuple(key.split("."))) == f"{path}:{line}", key
    assert source.place(("eval", "max_lines")) == str(path)


def test_texts_and_brackets_in_toml_do_not_mislead(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('a = """\n[b]\nc = 1\n"""\n"x.y" = [[1,\n 2], [\n3]]\n[b]\nc = "]"\nd = 2\n')
    source = read_config(path)
    assert source.line_of(("a",)) == 1
    assert source.line_of(("x.y",)) == 5
    assert source.line_of(("b",)) == 8
    assert source.line_of(("b", "c")) == 9
    assert source.line_of(("b", "d")) == 10
    assert source.line_of(("c",)) is None


PYTHON = """\
import math

base = {"window": 3}
config = {
    "data": {"path": "x.txt"},
    "model": {
        "d_model": 2 ** 7,
        "attention": {
            "name": "softmax",
            **base,
        },
        "d_model": int(math.pow(2, 6)),
    },
    "sampling": {"samplers": [
        "greedy",
        {"name": "top_p",
         "p": 0.5},
    ]},
}
"""


def test_every_displayed_python_key_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "my.py"
    for text in (PYTHON, PYTHON.replace("config =", "config: dict[str, object] =")):
        path.write_text(text)
        source = read_config(path)
        assert source.data["model"] == {
            "d_model": 64,
            "attention": {"name": "softmax", "window": 3},
        }
        keys = {
            "data.path": 5,
            "model": 6,
            "model.d_model": 12,
            "model.attention.name": 9,
            "model.attention.window": 8,
            "sampling.samplers.0": 15,
            "sampling.samplers.1": 16,
            "sampling.samplers.1.p": 17,
        }
        for key, line in keys.items():
            assert source.place(tuple(key.split("."))) == f"{path}:{line}"


def test_a_computed_config_has_its_file_as_place(tmp_path: Path) -> None:
    path = tmp_path / "my.py"
    path.write_text("config = dict(train={'seed': 'x'})\n")
    assert {problem.place for problem in file_problems(path)} == {str(path)}
    path.write_text("base = {'train': {'seed': 'x'}}\nfor i in range(2):\n    config = base\n")
    assert "train.seed" in {problem.key for problem in file_problems(path)}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("x = 1\nraise ValueError('too\\n bad')\n", 2, "ValueError: too bad"),
        ("def f():\n    1 / 0\n\nf()\n", 2, "ZeroDivisionError"),
        ("import sys\nsys.exit(3)\n", 2, "called sys.exit(3)"),
        ("exit()\n", 1, "called sys.exit(None)"),
        ("a = 1\nconfig = {\n", 2, "SyntaxError"),
        ("config = {}\n  x = 1\n", 2, "IndentationError"),
        ("import no_such_module\n", 1, "ModuleNotFoundError"),
        ("x = 1\n", None, "doesn't define `config`"),
        ("config = 5\n", None, "must contain a table of settings"),
        ("config = None\n", None, "must contain a table of settings"),
        ("config = {'model': {1, 2}}\n", None, "`config` must be plain data"),
        ("config = {'model': object()}\n", None, "`config` must be plain data"),
        ("config = {(1, 2): 3}\n", None, "`config` must be plain data"),
        ("config = {'train': {'seed': 10 ** 5000}}\n", None, "`config` must be plain data"),
        ("config = {}\nconfig['x'] = config\n", None, "`config` must be plain data"),
        ("config = x = []\nfor _ in range(10 ** 5): x[:] = [list(x)]\n", None, "nested too deeply"),
        ("def f(): f()\nf()\n", 1, "RecursionError"),
        ("\0", None, "null bytes"),
    ],
)
def test_a_script_that_fails_is_one_problem(
    tmp_path: Path, text: str, line: int | None, words: str
) -> None:
    path = tmp_path / "my.py"
    path.write_text(text)
    (problem,) = file_problems(path)
    assert words in problem.message
    assert "\n" not in problem.message
    if line is not None:
        assert problem.place == f"{path}:{line}"
    else:
        assert problem.place.startswith(str(path))


def test_an_interrupt_is_no_problem_of_the_config(tmp_path: Path) -> None:
    path = tmp_path / "my.py"
    path.write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        read_config(path)


def test_what_a_script_prints_is_not_the_commands_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my.py"
    path.write_text("print('hello')\nconfig = {'a': (1, 2)}\n")
    assert read_config(path).data == {"a": [1, 2]}
    assert capsys.readouterr() == ("", "hello\n")


@pytest.mark.parametrize(
    ("name", "content", "line", "words"),
    [
        ("a.toml", b"[data]\npath = \n", 2, "invalid TOML"),
        ("a.toml", b"[data]\n[data]\n", None, "invalid TOML"),
        ("a.toml", b"a = 1\nb = \xff\n", 2, "0xff is not UTF-8"),
        ("a.toml", b"a = " + b"[" * 100_000, None, ""),
        ("a.toml", b"a = " + b"9" * 5000, None, "invalid TOML"),
        ("a.json", b'{"a": 1,\n}', 2, "invalid JSON"),
        ("a.json", b"[" * 100_000, None, "nested too deeply"),
        ("a.json", b"[1]", None, "must contain a table of settings"),
        ("a.json", b'"text"', None, "must contain a table of settings"),
        ("a.json", b"9" * 5000, None, "invalid JSON"),
        ("a.yaml", b"", None, "must end in .toml, .py, .json"),
        ("config", b"", None, "must end in .toml, .py, .json"),
        ("a.py", b"x = '\xff'", 1, "is not UTF-8"),
    ],
)
def test_a_file_that_is_no_config(
    tmp_path: Path, name: str, content: bytes, line: int | None, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    (problem,) = file_problems(path)
    assert words in problem.message
    if line is not None:
        assert problem.place == f"{path}:{line}"
    else:
        assert problem.place.startswith(str(path))


def test_no_file_and_no_file_but_a_directory(tmp_path: Path) -> None:
    (problem,) = file_problems(tmp_path / "none.toml")
    assert problem.message.startswith("no such file; `tp init")
    (tmp_path / "dir.toml").mkdir()
    (problem,) = file_problems(tmp_path / "dir.toml")
    assert "can't be read: Is a directory" in problem.message


def test_a_relative_path_is_shown_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = DEFAULT.read_text().replace("seed = 1 ", 'seed = "1" ')
    Path("my.toml").write_text(text)
    (problem,) = file_problems(Path("my.toml"))
    line = next(i for i, row in enumerate(text.split("\n"), 1) if row.startswith("seed"))
    assert str(problem) == f'my.toml:{line}: train.seed: must be an integer, not "1"'
    assert load_plan(Path("my.toml"), ["train.seed=1"]).config.train.seed == 1
