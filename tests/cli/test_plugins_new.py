"""`tp plugins new`: what it writes, what it refuses, and that what it wrote works.

Installing the packages and running their own tests is `tests/test_generated_packages.py`'s part.
"""

from __future__ import annotations

import importlib
import keyword
import math
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tomli
import torch
import torch.nn.functional as F
from cli_runner import Run
from torch import nn

from tp_core.config.plan import load_plan
from tp_core.errors import TpError
from tp_core.interfaces import MetricView, ParameterInfo, SequenceInfo
from tp_core.kernel.catalogue import Catalogue
from tp_core.kernel.kinds import KINDS
from tp_core.model.decoder import Decoder
from tp_core.plugin_check import metadata
from tp_core.plugin_check.descriptors import descriptor_findings
from tp_core.plugin_check.targets import target_findings
from tp_core.scaffold.package import RESERVED, scaffold, which_kind, write
from tp_core.testing import run_conformance
from tp_core.testing.partners import DISTRIBUTION

DEFAULT = Path(__file__).parents[2] / "configs" / "default.toml"

FILES = ["LICENSE", "README.md", ".gitignore", "pyproject.toml", "tests/test_conformance.py"]


def as_installed(place: Path) -> Path:
    """The metadata an installation of a written package would have, beside it."""
    project = tomli.loads((place / "pyproject.toml").read_text())["project"]
    info = place / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    requires = "".join(f"Requires-Dist: {one}\n" for one in project["dependencies"])
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n{requires}"
    )
    entries = "".join(f"{k} = {v}\n" for k, v in project["entry-points"]["tp"].items())
    (info / "entry_points.txt").write_text(f"[tp]\n{entries}")
    return place


@pytest.fixture
def written(tp: Run, tmp_path: Path, install: Callable[..., None]) -> Callable[[str], Path]:
    """Writes a package with a component `own_KIND` and puts it on the path, as if installed."""

    @cache
    def put(kind: str) -> Path:
        assert tp("plugins", "new", kind, f"own_{kind}", "--dir", tmp_path).code == 0
        place = as_installed(tmp_path / f"tp-own-{kind.replace('_', '-')}")
        install(place)
        return place

    return put


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_listed_and_fits_a_config(
    kind: str, written: Callable[[str], Path]
) -> None:
    place = written(kind)
    names = [str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()]
    assert {*FILES, f"tp_own_{kind}/__init__.py", f"tp_own_{kind}/{kind}.py"} <= set(names)
    (row,) = [r for r in Catalogue().rows() if r.distribution == place.name]
    assert (row.kind, row.name, row.version, row.status) == (kind, f"own_{kind}", "0.1.0", "ok")
    # Importing the descriptors left the class, and torch, alone.
    assert f"tp_own_{kind}.{kind}" not in sys.modules
    (setting,) = re.findall(r"--set (.*)", (place / "README.md").read_text())
    plan = load_plan(DEFAULT, [setting.strip("'")])
    assert f"{place.name}:own_{kind}" in {chosen.name for chosen in plan.components()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_is_one_a_user_can_see_how_to_write(
    kind: str, written: Callable[[str], Path]
) -> None:
    place = written(kind)
    component = Catalogue().find(kind, f"own_{kind}").component
    assert len(component.options.model_fields) == 1
    (info,) = component.options.model_fields.values()
    assert info.description
    assert info.examples
    source = (place / f"tp_own_{kind}" / f"{kind}.py").read_text()
    assert "must hold:" in source.partition('"""')[2].partition('"""')[0]
    for path in [*place.rglob("*.py"), *place.rglob("*.toml"), *place.rglob("*.md")]:
        assert "minimal" not in path.read_text().lower()
        assert "{" + "{" not in path.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_wrong_with_it(kind: str, written: Callable[[str], Path]) -> None:
    place, catalogue = written(kind), Catalogue()
    registered = catalogue.find(kind, f"own_{kind}")
    assert list(metadata.findings([registered.plugin], None)) == []
    assert list(descriptor_findings(registered, str(place), catalogue)) == []
    assert list(target_findings(registered, str(place))) == []


# The quick ones; the packages' own tests run them all.
QUICK = {
    "positional_encoding": ("shapes", "packing"),
    "attention": ("causality_gradient", "incremental", "window_bounds"),
    "norm": ("shapes", "token_local_gradient"),
    "mlp": ("shapes", "token_local_gradient"),
    "block": ("shapes", "state_reorder"),
    "sampler": ("valid_distribution", "permutation"),
    "metric": ("computes", "headlines", "samples_declared"),
    "optimizer": ("rates_respected", "resumes"),
    "schedule": ("factors", "stateless"),
    "callback": ("events_known", "goes_on", "training_kept"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_conforms_in_what_is_quickly_asked(kind: str, written: Callable[[str], Path]) -> None:
    place, checks = written(kind), [*QUICK[kind], "options_round_trip", "described", "effect"]
    results = run_conformance(place.name, checks=checks)
    assert {result.check for result in results} == set(checks)
    assert [result for result in results if result.status == "failed"] == []


def test_next_steps(tp: Run, tmp_path: Path) -> None:
    done = tp("plugins", "new", "metric", "my_metric", "--dir", tmp_path)
    assert done.err == "wrote 7 files; next, run:\n"
    assert done.out == (
        f"cd {tmp_path}/tp-my-metric\n"
        "pip install -e '.[test]'\n"
        "tp plugins list --kind metric\n"
        "tp plugins check tp-my-metric\n"
        "python -m pytest\n"
        "tp init play && cd play\n"
        'tp train --config config.toml --set \'report.metrics=["likelihood", "my_metric"]\'\n'
    )


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("norm", "norm"),
        ("norms", "norm"),
        ("Norm", "norm"),
        ("positional-encoding", "positional_encoding"),
        ("Positional Encodings", "positional_encoding"),
        ("mlps", "mlp"),
    ],
)
def test_a_kind_may_be_spelt_in_many_ways(text: str, kind: str) -> None:
    assert which_kind(text) == kind


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nrom", "mine"], "unknown kind 'nrom'. Did you mean 'norm'?"),
        (["optimiser", "mine"], "Did you mean 'optimizer'?"),
        (["xyz", "mine"], "unknown kind 'xyz'. Kinds: positional_encoding, attention,"),
        (["norm", "My-Norm"], "name 'My-Norm' is invalid: use lowercase"),
        (["norm", "My-Norm"], "try 'my_norm'"),
        (["norm", "2norm"], "try 'norm'"),
        (["norm", "norm_"], "try 'norm'"),
        (["norm", "ünorm"], "try 'norm'"),
        (["norm", "../norm"], "try 'norm'"),
        (["norm", "a" * 41], "at most 40 characters"),
        (["norm", ""], "name ''"),
        (["norm", "core"], "tp-core and tp_core are reserved"),
        (["norm", "plugins"], "are reserved"),
        (["norm", "testing"], "are reserved"),
        (["norm", "rmsnorm"], "norm 'rmsnorm' is built in"),
        (["norm", "rmsnorm"], "only be available as 'tp-rmsnorm:rmsnorm'"),
        (["norm", "alpha"], "package tp_alpha is already installed"),
    ],
)
def test_what_is_refused(tp: Run, tmp_path: Path, args: list[str], message: str) -> None:
    done = tp("plugins", "new", *args, "--dir", tmp_path / "new", plugins=("tp-alpha",))
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert not (tmp_path / "new").exists()


def test_a_name_of_another_kind_is_free() -> None:
    assert scaffold("mlp", "rmsnorm").distribution == "tp-rmsnorm"


def test_the_reserved_names_are_those_that_are_taken() -> None:
    assert DISTRIBUTION.removeprefix("tp-") in RESERVED
    for name in ("core", "plugins"):
        assert name in RESERVED
        assert importlib.util.find_spec(f"tp_{name}")


@pytest.mark.parametrize("name", ["none", "true", "tensor", "field", "options", "component", "b"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_class_has_a_name_that_is_free(kind: str, name: str) -> None:
    if (kind, name) == ("positional_encoding", "none"):
        return  # built in
    files = scaffold(kind, name).files
    source = files[f"tp_{name}/{kind}.py"]
    compile(source, kind, "exec")
    (cls,) = re.findall(r'target="tp_\w+\.\w+:(\w+)"', files[f"tp_{name}/__init__.py"])
    assert not keyword.iskeyword(cls)
    assert re.search(rf"^class {cls}\b", source, re.MULTILINE)
    assert not re.search(rf"^(from|import) .*\b{cls}\b(?!Options)", source, re.MULTILINE)


def test_nothing_is_overwritten(tp: Run, tmp_path: Path) -> None:
    kept = tmp_path / "tp-mine"
    kept.mkdir()
    done = tp("plugins", "new", "norm", "mine", "--dir", tmp_path)
    assert done.code == 2
    assert f"{kept} already exists; nothing was written" in done.err
    assert list(kept.iterdir()) == []


def test_nothing_is_half_written(tp: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text, before = Path.write_text, []

    def fills_up(path: Path, *args: Any, **more: Any) -> int:
        before.append(path)
        if len(before) == 4:
            raise OSError(28, "No space left on device", str(path))
        return write_text(path, *args, **more)

    monkeypatch.setattr(Path, "write_text", fills_up)
    done = tp("plugins", "new", "norm", "mine", "--dir", tmp_path / "a" / "b")
    assert done.code == 2
    assert "No space left on device; choose another directory with --dir" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_a_file(tp: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = tp("plugins", "new", "norm", "mine", "--dir", tmp_path / "file")
    assert done.code == 2
    assert "cannot write" in done.err
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_may_not_be_written(tp: Run, tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    done = tp("plugins", "new", "norm", "mine", "--dir", tmp_path)
    tmp_path.chmod(stat.S_IRWXU)
    assert done.code == 2
    assert "cannot write" in done.err


def test_what_is_written_is_as_tidy_as_this_repository(tmp_path: Path) -> None:
    places = [write(scaffold(kind, f"own_{kind}"), tmp_path) for kind in KINDS]
    for command in (["check"], ["format", "--check"]):
        root = Path(__file__).parents[2]
        arguments = ["--no-cache", "--config", str(root / "pyproject.toml"), *map(str, places)]
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout


def test_a_kind_of_none_is_a_tp_error() -> None:
    with pytest.raises(TpError):
        scaffold("", "mine")


# What the baselines compute


@pytest.fixture
def baseline(written: Callable[[str], Path]) -> Callable[..., Any]:
    """An instance of a written component's class, with these options, for a width of 8."""

    def make(kind: str, **options: Any) -> Any:
        written(kind)
        component = Catalogue().find(kind, f"own_{kind}").component
        module, _, name = component.target.partition(":")
        ctx = SimpleNamespace(dim=8, d_model=8, n_heads=2, head_dim=4, linear=linear)
        return getattr(importlib.import_module(module), name)(component.options(**options), ctx)

    def linear(d_in: int, d_out: int, residual: bool = False) -> nn.Linear:
        return nn.Linear(d_in, d_out, bias=False)

    return make


def test_the_norm_is_a_root_mean_square(baseline: Callable[..., Any]) -> None:
    norm, x = baseline("norm", eps=0.01), torch.randn(3, 5, 8)
    nn.init.normal_(norm.gain)
    torch.testing.assert_close(norm(x), F.rms_norm(x, (8,), norm.gain, 0.01))


def test_the_mlp_is_a_gated_gelu(baseline: Callable[..., Any]) -> None:
    mlp, x = baseline("mlp", expansion=1.5), torch.randn(3, 5, 8)
    gate, up, down = (part.weight for part in (mlp.gate, mlp.up, mlp.down))
    assert gate.shape == (12, 8)
    expected = (0.5 * (x @ gate.T) * (1 + torch.erf(x @ gate.T / 2**0.5)) * (x @ up.T)) @ down.T
    torch.testing.assert_close(mlp(x), expected)


def test_the_encoding_is_a_logarithm_of_the_distance(baseline: Callable[..., Any]) -> None:
    bias = baseline("positional_encoding", reach=2.0).bias(
        torch.tensor([[5]]), torch.tensor([[5, 3, 0]])
    )
    ratio = bias[0, :, 0, 1:] / bias[0, :, 0, 1:2]
    assert bias.shape == (1, 2, 1, 3)
    assert bias[0, :, 0, 0].tolist() == [0, 0]
    expected = math.log(1 + 5 / 2) / math.log(1 + 2 / 2)
    torch.testing.assert_close(ratio[:, 1], torch.full((2,), expected))


def test_the_sampler_removes_what_is_unlikely(baseline: Callable[..., Any]) -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.25, 0.25, 0.25, 0.25]]).log()
    kept = baseline("sampler", epsilon=0.2)(logits).isfinite()
    assert kept.tolist() == [[True, True, False, False], [True, True, True, True]]
    assert baseline("sampler", epsilon=0.6)(logits).isfinite().tolist()[0] == [
        *(True, False, False, False)
    ]


def test_the_metric_counts_what_was_said_before(baseline: Callable[..., Any]) -> None:
    view = MetricView(samples=["a b a b a b", "c d", "a b"])
    # Five pairs, two of them different; then one, and one.
    result = baseline("metric", n=2).compute(view)
    assert result == {"ngrams": 7, "repetition": pytest.approx(3 / 7)}
    assert baseline("metric", n=7).compute(view) == {"ngrams": 0, "repetition": None}


def test_the_optimizer_goes_along_the_sign_of_the_mean(baseline: Callable[..., Any]) -> None:
    parameter = nn.Parameter(torch.tensor([[1.0, -2.0]]))
    info = ParameterInfo("w", parameter, "hidden", learning_rate=0.1, weight_decay=0.5)
    optimizer = baseline("optimizer", momentum=0.5).build([info])
    for gradient in ([1.0, -1.0], [-3.0, 0.5]):
        parameter.grad = torch.tensor([gradient])
        optimizer.step()
    # m after two steps: 0.5·0.5 − 1.5 = −1.25 and −0.25 + 0.25 = 0.
    expected = [(1 * 0.95 - 0.1) * 0.95 + 0.1, (-2 * 0.95 + 0.1) * 0.95]
    torch.testing.assert_close(parameter.detach(), torch.tensor([expected]))


def test_the_schedule_rises_and_falls_in_straight_lines(baseline: Callable[..., Any]) -> None:
    schedule = baseline("schedule", warmup=3)
    factors = [schedule.factor(step, 7) for step in range(8)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0])


def test_the_callback_stops_at_a_smoothed_loss(baseline: Callable[..., Any]) -> None:
    callback = baseline("callback", target=1.5)
    assert callback.should_stop() is None
    for loss, stops in ((2.0, False), (1.0, False), (0.0, False), (0.0, False), (0.0, True)):
        callback.on_step(SimpleNamespace(loss=loss))
        assert bool(callback.should_stop()) == stops
    # 2, 1.9, 1.71, 1.539, 1.3851
    assert callback.state_dict() == {"smoothed": pytest.approx(1.3851)}


def test_the_attention_is_scaled_dot_product(written: Callable[[str], Path]) -> None:
    written("attention")
    results = []
    for name in ("own_attention", "softmax"):
        sets = [f"model.attention={name}", "model.positional_encoding=alibi"]
        plan = load_plan(DEFAULT, [*sets, "model.d_model=16", "model.n_layers=1", "train.seed=3"])
        model = Decoder(plan, 50).eval()
        tokens = torch.arange(12).view(2, 6)
        results.append(model(tokens, SequenceInfo.of_rows(torch.tensor([6, 4]), 6))[0])
    # The same start values under the same names, so the built-in says what it must compute.
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


def test_the_block_is_pre_norm_at_a_gain_of_one(written: Callable[[str], Path]) -> None:
    written("block")
    results = []
    for block in ('{ name = "own_block", start = 1.0 }', '"pre"'):
        plan = load_plan(DEFAULT, [f"model.block={block}", "model.d_model=16", "model.n_layers=2"])
        tokens = torch.arange(12).view(2, 6)
        model = Decoder(plan, 50).eval()
        results.append(model(tokens, SequenceInfo.of_rows(torch.tensor([6, 4]), 6))[0])
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
