"""The kit itself: what it tries, what it reports, and that it needs no component but its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click
import pytest
import torch
from pydantic import Field

from tp_core import Component, Options, Spec
from tp_core.cli.plugins_test import command
from tp_core.errors import RunFailed, TpError
from tp_core.kernel.catalogue import Catalogue, Plugin
from tp_core.testing import CheckResult, conformance, run_conformance
from tp_core.testing.cases import cases
from tp_core.testing.partners import DISTRIBUTION, PLUGINS
from tp_core.testing.registry import CHECKS
from tp_core.testing.variants import variants

OWN = DISTRIBUTION
MUTANTS = Plugin("tp-mutants", "1", "mutants", "mutants")


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue([*PLUGINS, MUTANTS], disable="")


# What is tried.


class Everything(Options):
    window: int | None = Field(None, description="of it", examples=[3, 5])
    mode: Literal["a", "b", "c"] = Field("b", description="of it")
    exact: bool = Field(True, description="of it")
    limit: Literal["low"] | None = Field("low", description="of it")
    norm: Spec[Literal["norm"]] | None = Field(
        None, description="of it", examples=["rmsnorm", {"name": "rmsnorm", "eps": 0.1}]
    )
    sinks: int = Field(0, description="of it", examples=[{"sinks": 2, "window": 3}])
    sizes: tuple[int, ...] = Field((1,), description="of it", examples=[(1,), (2, 3)])
    rate: float = Field(1.0, description="of it")


def component(options: type[Options]) -> Component:
    return Component(name="one", target="nowhere:One", options=options)


class Beside(Options):
    window: int | None = Field(None, description="of it", examples=[3])
    edge: Literal["soft", "hard"] | None = Field(
        None, description="of it", examples=[{"edge": "soft", "window": 3}]
    )


def test_a_member_that_stands_beside_another_option_is_not_tried_alone() -> None:
    found = [variant for variant in variants(component(Beside)) if variant.option == "edge"]
    assert [variant.text for variant in found] == ["edge=soft,window=3", "edge=hard"]
    assert found[0].reference == {"window": 3}


def test_each_option_is_varied_alone() -> None:
    found = variants(component(Everything))
    assert [variant.text for variant in found] == [
        "defaults",
        "window=3",
        "window=5",
        "mode=a",
        "mode=c",
        "exact=false",
        "limit=null",
        "norm=rmsnorm",
        "norm={name:rmsnorm,eps:0.1}",
        "sinks=2,window=3",
        "sizes=[2,3]",
        "rate=?",
    ]
    assert all(len(v.options) == 1 for v in found if v.option not in ("", "sinks", "rate"))


def test_an_option_that_needs_another_is_compared_with_that_one_alone() -> None:
    (sinks,) = [v for v in variants(component(Everything)) if v.option == "sinks"]
    assert sinks.options == {"sinks": 2, "window": 3}
    assert sinks.reference == {"window": 3}


def test_an_option_without_examples_says_how_to_give_some() -> None:
    (rate,) = [v for v in variants(component(Everything)) if v.option == "rate"]
    assert rate.unvaried
    assert "examples=[...]" in rate.fault


def test_required_options_take_their_first_example() -> None:
    class Required(Options):
        width: int = Field(description="of it", examples=[4, 8])
        mode: Literal["a", "b"] = Field(description="of it")

    found = variants(component(Required))
    assert [v.options for v in found] == [
        {"width": 4, "mode": "a"},
        {"width": 8, "mode": "a"},
        {"width": 4, "mode": "b"},
    ]
    assert found[1].reference == found[0].options


def test_a_required_option_without_examples_is_a_fault() -> None:
    class Bare(Options):
        width: int = Field(description="of it")

    (only,) = variants(component(Bare))
    assert "width" in only.fault
    assert not only.unvaried


def scene_labels(catalogue: Catalogue, distribution: str, name: str) -> list[str]:
    (first, *_) = cases(catalogue, distribution, names=[name])
    return [harness.label for harness in first.harnesses]


def test_an_attention_is_seen_with_every_site_it_offers(catalogue: Catalogue) -> None:
    sites = ("no site", "embed", "rotate", "bias", "score")
    assert scene_labels(catalogue, "tp-mutants", "peeks_ahead") == [
        f"encoding at {site}" for site in sites
    ]
    assert scene_labels(catalogue, "tp-mutants", "recurrent") == [
        "encoding at no site",
        "encoding at embed",
    ]


def test_encodings_are_seen_with_a_window_and_blocks_without_an_mlp(catalogue: Catalogue) -> None:
    assert "attention with a window" in scene_labels(catalogue, OWN, "at_score")
    assert "without MLP" in scene_labels(catalogue, "tp-mutants", "no_dropout")


# What is reported.


def test_results_are_structured(catalogue: Catalogue) -> None:
    heard: list[CheckResult] = []
    found = run_conformance(OWN, kinds=["norm"], progress=heard.append, catalogue=catalogue)
    assert found == heard
    assert {result.status for result in found} <= {"passed", "not-applicable"}
    local, _ = [result for result in found if result.check == "token_local_change"]
    assert (local.kind, local.component, local.variant) == ("norm", "minimal", "defaults")
    assert local.measured is not None
    assert local.tolerance is not None
    assert 0 <= local.measured <= local.tolerance
    assert local.id == "norm-minimal-defaults-token_local_change"


def test_results_are_strict_json() -> None:
    result = CheckResult("norm", "x", "defaults", "shapes", "failed", float("nan"), float("inf"))
    assert json.loads(json.dumps(result.as_data(), allow_nan=False))["measured"] == "nan"


def test_kinds_names_and_checks_narrow_it_down(catalogue: Catalogue) -> None:
    found = run_conformance(OWN, ["norm", "mlp"], ["minimal"], ["builds"], catalogue=catalogue)
    assert [(r.kind, r.variant, r.check) for r in found] == [
        *(("norm", "defaults", "builds"), ("norm", "eps=0.1", "builds")),
        *(("mlp", "defaults", "builds"), ("mlp", "expansion=2.0", "builds")),
    ]


def test_a_failure_says_what_where_and_how_much(catalogue: Catalogue) -> None:
    (found,) = run_conformance(
        "tp-mutants", names=["drops_state"], checks=["incremental"], catalogue=catalogue
    )
    assert found.status == "failed"
    assert found.measured is not None
    assert found.measured > 0.1
    for words in ("encoding at no site", "chunks of [1,", "tolerance 0.0001"):
        assert words in found.message


def test_what_a_component_raises_is_a_failure_with_its_line(catalogue: Catalogue) -> None:
    (found,) = run_conformance(
        "tp-mutants", names=["fixed_state_type"], checks=["bf16_autocast"], catalogue=catalogue
    )
    assert found.status == "failed"
    assert "RuntimeError" in found.message
    assert "recurrent.py:" in found.message


def test_what_cant_be_built_fails_once(catalogue: Catalogue) -> None:
    found = run_conformance("tp-mutants", names=["refused_option"], catalogue=catalogue)
    wide = [result for result in found if result.variant == "width=1000"]
    assert [r.check for r in wide if r.status == "failed"] == ["builds"]
    assert all("d_model = 32" in result.message for result in wide)


def test_the_worst_scene_counts(catalogue: Catalogue) -> None:
    (found,) = run_conformance(OWN, names=["at_score"], checks=["incremental"], catalogue=catalogue)
    assert found.status == "passed"
    alone = [CHECKS["incremental"].run(s) for s in cases(catalogue, OWN, names=["at_score"])]
    assert found.measured == max(one.measured or 0 for one in alone)


def test_nothing_is_left_behind(catalogue: Catalogue) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    run_conformance(OWN, kinds=["mlp", "sampler"], catalogue=catalogue)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tp-nowhere",), "no installed distribution 'tp-nowhere'"),
        ((OWN, ["norm"], ["attentive"]), "no component 'attentive'"),
        ((OWN, None, None, ["casuality_gradient"]), "Did you mean 'causality_gradient'"),
    ],
)
def test_wrong_names_are_told(arguments: tuple[Any, ...], words: str, catalogue: Catalogue) -> None:
    with pytest.raises(TpError, match=words):
        run_conformance(*arguments, catalogue=catalogue)


def test_a_plugin_that_does_not_load_is_told(
    install: Callable[..., None], catalogue: Catalogue
) -> None:
    install("tp-raises")
    with pytest.raises(TpError, match="is broken"):
        run_conformance("tp-raises")


# Under pytest.


def parameters(test: Any) -> dict[str, tuple[Any, ...]]:
    (mark,) = test.pytestmark
    return {case.id: case.values for case in mark.args[1]}


def test_each_case_has_a_readable_id(catalogue: Catalogue) -> None:
    found = parameters(conformance(OWN, kinds=["attention"], catalogue=catalogue))
    assert "attention-minimal-defaults-causality_gradient" in found
    assert "attention-minimal-window=3-window_bounds" in found
    assert "attention-minimal-defaults-window_bounds" not in found


def test_a_case_passes_fails_or_skips(catalogue: Catalogue) -> None:
    test = conformance("tp-mutants", names=["peeks_ahead", "recurrent"], catalogue=catalogue)
    found = parameters(test)
    test(*found["attention-recurrent-defaults-causality_gradient"])
    with pytest.raises(pytest.fail.Exception) as failed:
        test(*found["attention-peeks_ahead-defaults-causality_gradient"])
    assert "exactly zero" in str(failed.value)
    with pytest.raises(pytest.skip.Exception, match="adds no auxiliary loss"):
        test(*found["attention-recurrent-defaults-auxiliary_loss"])


def test_a_package_tests_itself_with_one_file(install: Callable[..., None], tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / "tp_relu2.py").write_text(
        "from tp_core import Component, hookimpl\n\n\n"
        "@hookimpl\n"
        "def tp_mlps():\n"
        "    return [Component(name='relu2', target='tp_relu2_model:Relu2', summary='Squared')]\n"
    )
    (tmp_path / "tp_relu2_model.py").write_text(
        "from torch import nn\n\n\n"
        "class Relu2(nn.Module):\n"
        "    def __init__(self, options, ctx):\n"
        "        super().__init__()\n"
        "        self.up, self.down = ctx.linear(ctx.dim, 64), ctx.linear(64, ctx.dim)\n\n"
        "    def forward(self, x):\n"
        "        return self.down(self.up(x).relu().square())\n"
    )
    info = tmp_path / "tp_relu2-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tp-relu2\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[tp]\nrelu2 = tp_relu2\n")
    (tmp_path / "test_conformance.py").write_text(
        "from tp_core.testing import conformance\n\ntest_components = conformance('tp-relu2')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_conformance.py"],
        cwd=tmp_path,
        env={
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


# On its own.

_WITHOUT_BUILT_INS = """
import sys
sys.modules["tp_plugins"] = None
from tp_core.testing import run_conformance
kinds = ("norm", "mlp", "block", "sampler", "metric", "optimizer", "schedule", "callback")
results = run_conformance("tp-testing", kinds=kinds)
assert {result.kind for result in results} == set(kinds)
print([result.id + result.message for result in results if result.status == "failed"])
"""


def test_the_kit_needs_no_component_but_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_BUILT_INS], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_importing_it_costs_neither_torch_nor_pytest() -> None:
    code = (
        "import sys, tp_core.testing, tp_core.testing.partners as partners\n"
        "for plugin in partners.PLUGINS: __import__(plugin.value)\n"
        "print('torch' in sys.modules, 'pytest' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"], done.stderr


def test_every_check_says_what_it_promises() -> None:
    assert len(CHECKS) > 40
    assert all(check.summary and check.kinds for check in CHECKS.values())


# On the command line.


def call(*arguments: str) -> None:
    click.Command.main(command, list(arguments), prog_name="test", standalone_mode=False)


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    call(OWN, "--kind", "schedule")
    out, err = capsys.readouterr()
    assert out.split()[:2] == ["kind", "component"]
    assert "schedule  minimal" in out
    assert "testing schedule minimal" in err


def test_the_command_fails_with_the_reasons(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    install("tp-leaky")
    with pytest.raises(RunFailed, match="checks failed") as ended:
        call("tp-leaky", "--kind", "norm", "--name", "detached")
    assert ended.value.exit_code == 1
    out = capsys.readouterr().out
    assert "norm 'detached', defaults: token_local_change" in out


def test_the_command_prints_json(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    install("tp-leaky")
    with pytest.raises(RunFailed):
        call("tp-leaky", "--kind", "mlp", "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["distribution"] == "tp-leaky"
    (leak,) = [r for r in report["results"] if r["check"] == "token_local_gradient"]
    assert leak["status"] == "failed"
    assert set(leak) >= {"kind", "component", "variant", "measured", "tolerance", "message"}
